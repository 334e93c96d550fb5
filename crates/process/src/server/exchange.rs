//! One request and its answer: hands the request to the app and tells the connection when all of it is over.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use http::{Request, Response, Version};
use hyper::body::{Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

use super::connection::Handle;
use super::linger::discard;

/// The app as hyper calls it, for one connection.
#[derive(Debug)]
pub(super) struct App {
    router: Router,
    handle: Arc<Handle>,
}

impl App {
    pub(super) fn new(router: Router, handle: Arc<Handle>) -> Self {
        Self { router, handle }
    }
}

impl hyper::service::Service<Request<Incoming>> for App {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.handle.activity.exchange_began();
        let part = Part::begin(&self.handle);
        let version = request.version();
        let request = request.map(|body| {
            if body.is_end_stream() {
                Body::empty()
            } else {
                let part = Part::begin(&self.handle);
                Body::new(RequestBody { body: Some(body), read_whole: false, version, part })
            }
        });
        Answer { future: self.router.clone().call(request), part: Some(part) }
    }
}

/// While it lives the connection is busy.
#[derive(Debug)]
pub(super) struct Part {
    handle: Arc<Handle>,
}

impl Part {
    pub(super) fn begin(handle: &Arc<Handle>) -> Self {
        handle.activity.part_began();
        Self { handle: Arc::clone(handle) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.handle.activity.part_ended(self.handle.clock);
    }
}

pin_project! {
    /// The app at work on an answer.
    pub(super) struct Answer {
        #[pin]
        future: RouteFuture<Infallible>,
        part: Option<Part>,
    }
}

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let part = this.part.take();
        Poll::Ready(Ok(response.map(|body| ResponseBody { body, _part: part })))
    }
}

/// A request's body that tells whether it was read to its end.
struct RequestBody {
    /// There until this is dropped.
    body: Option<Incoming>,
    read_whole: bool,
    version: Version,
    part: Part,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.read_whole = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        match self.body.take() {
            Some(body) if !self.read_whole && !body.is_end_stream() => match self.version {
                Version::HTTP_2 => discard(body),
                _ => self.part.handle.activity.body_left_unread(),
            },
            _ => {}
        }
    }
}

/// An answer's body; dropped when the last of it is in the connection's write buffer.
pub(super) struct ResponseBody {
    body: Body,
    _part: Option<Part>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
