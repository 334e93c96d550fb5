//! A layer that puts `RateLimit` and `RateLimit-Policy` on every answer to a request that has a limit.

use super::answer::Fields;
use axum::{extract::Request, response::Response};
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};
use tower::{Layer, Service};

/// Where the extractor leaves the fields for the answer.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<OnceLock<Fields>>);

impl Slot {
    pub(super) fn fill(&self, fields: Fields) {
        // A request has one limit; were there two, the first would be shown.
        let _ = self.0.set(fields);
    }
}

/// The layer.
#[derive(Clone, Copy)]
pub(crate) struct ShowLimits;

impl<S> Layer<S> for ShowLimits {
    type Service = Showing<S>;

    fn layer(&self, inner: S) -> Showing<S> {
        Showing { inner }
    }
}

#[derive(Clone)]
pub(crate) struct Showing<S> {
    inner: S,
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Showing<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let slot = Slot::default();
        request.extensions_mut().insert(slot.clone());
        Answer { inner: self.inner.call(request), slot }
    }
}

pin_project! {
    pub(crate) struct Answer<F> {
        #[pin]
        inner: F,
        slot: Slot,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        for (name, value) in this.slot.0.get().into_iter().flatten() {
            response.headers_mut().insert(name, value.clone());
        }
        Poll::Ready(Ok(response))
    }
}
