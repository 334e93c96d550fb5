//! A panic in a handler costs its own request a 500, nothing more.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Problem, panic_message};

/// A layer that answers 500 when a handler panics, and logs the panic. Put it inside the metrics layer, so that
/// the 500 is counted.
#[must_use]
pub fn catch_panic() -> CatchPanicLayer {
    CatchPanicLayer
}

/// See [`catch_panic`].
#[derive(Clone, Copy, Debug)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic { inner }
    }
}

/// See [`catch_panic`].
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Guarded { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// Polls the handler and turns its panic into an answer.
    pub struct Guarded<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.project().inner;
        // The handler is not polled again after a panic, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll,
            Err(payload) => {
                tracing::error!(
                    panic = panic_message(&*payload),
                    "a handler panicked; its request gets a 500"
                );
                let detail = "the server failed on this request; its log says why";
                Poll::Ready(Ok(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()))
            }
        }
    }
}
