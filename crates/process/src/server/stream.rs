//! A stream of an HTTP/2 connection: its answer goes out in small pieces, and is given up when nobody takes them.
//!
//! A client of HTTP/2 opens a window for each stream (RFC 9113 section 5.2). One that never does would hold the answer
//! for ever while its connection looks healthy; so every piece says when it is gone, and a stream whose pieces stay is
//! reset, the others of its connection go on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use prometheus_client::metrics::counter::Counter;
use tokio::task_local;
use tokio::time::sleep;

use super::activity::Millis;
use super::connection::Handle;
use super::exchange::{Answer, App, Part, ResponseBody};

/// Most bytes of an answer in one piece: a frame of the size that every client takes (RFC 9113 section 4.2).
pub(super) const PIECE: usize = 16 << 10;

task_local! {
    /// What the client has to take of the stream whose task this is.
    static TAKING: Arc<Taking>;
}

/// Runs the streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) handle: Arc<Handle>,
    /// Longest time that a client takes nothing of an answer.
    pub(super) stall: Millis,
    /// Streams that were reset for it.
    pub(super) stalled: Counter,
}

impl<F> Executor<F> for Runner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let taking = Arc::new(Taking::new(Arc::clone(&self.handle)));
        let (stall, stalled) = (self.stall, self.stalled.clone());
        tokio::spawn(TAKING.scope(Arc::clone(&taking), async move {
            tokio::select! {
                biased;
                () = stream => {}
                // Dropped before its end, a stream is reset.
                () = taking.stalled(stall) => { stalled.inc(); }
            }
        }));
    }
}

/// How a client takes the pieces of an answer.
#[derive(Debug)]
struct Taking {
    handle: Arc<Handle>,
    /// Pieces that are not written yet.
    left: AtomicU32,
    /// When the last one was written, or the first was there to be.
    since: AtomicU64,
}

impl Taking {
    fn new(handle: Arc<Handle>) -> Self {
        Self { handle, left: AtomicU32::new(0), since: AtomicU64::new(0) }
    }

    fn given(&self) {
        if self.left.load(Ordering::Acquire) == 0 {
            self.since.store(self.handle.clock.now(), Ordering::Release);
        }
        self.left.fetch_add(1, Ordering::AcqRel);
        self.handle.activity.piece_given(self.handle.clock);
    }

    fn taken(&self) {
        self.since.store(self.handle.clock.now(), Ordering::Release);
        self.left.fetch_sub(1, Ordering::AcqRel);
        self.handle.activity.piece_taken(self.handle.clock);
    }

    /// How much longer the client may take nothing; `None` when there is nothing for it to take.
    fn patience(&self, now: Millis, stall: Millis) -> Option<Millis> {
        let waits = self.left.load(Ordering::Acquire) > 0;
        waits.then(|| (self.since.load(Ordering::Acquire) + stall).saturating_sub(now))
    }

    /// When the client has taken nothing of an answer for so long, or up to a quarter longer.
    async fn stalled(&self, stall: Millis) {
        let mut wait = stall;
        while wait > 0 {
            sleep(Duration::from_millis(wait)).await;
            wait = self.patience(self.handle.clock.now(), stall).unwrap_or(stall.div_ceil(4).max(1));
        }
    }
}

/// The app as hyper calls it, for one HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Streams(pub(super) App);

impl hyper::service::Service<Request<Incoming>> for Streams {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = StreamAnswer;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        StreamAnswer { answer: self.0.call(request) }
    }
}

pin_project! {
    /// The app at work on an answer, in the task of its stream.
    pub(super) struct StreamAnswer {
        #[pin]
        answer: Answer,
    }
}

impl Future for StreamAnswer {
    type Output = Result<Response<Pieces>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().answer.poll(cx))?;
        let taking = TAKING.with(Arc::clone);
        Poll::Ready(Ok(response.map(|body| Pieces { body, rest: Bytes::new(), taking })))
    }
}

/// An answer's body in pieces.
pub(super) struct Pieces {
    body: ResponseBody,
    /// What is left of the frame that the body gave last.
    rest: Bytes,
    taking: Arc<Taking>,
}

impl HttpBody for Pieces {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()? else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => {
                    return Poll::Ready(other.into_trailers().ok().map(|of| Ok(Frame::trailers(of))));
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(Piece::new(bytes, Arc::clone(&self.taking))))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper + rest);
        }
        with_rest.set_lower(hint.lower() + rest);
        with_rest
    }
}

/// A piece of an answer; dropped when it is in the socket's buffer. Until then the connection is busy.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    taking: Arc<Taking>,
    _part: Part,
}

impl Piece {
    fn new(bytes: Bytes, taking: Arc<Taking>) -> Self {
        taking.given();
        let part = Part::begin(&taking.handle);
        Self { bytes, taking, _part: part }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.taking.taken();
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::activity::{Clock, Phase};

    #[test]
    fn a_client_is_given_up_when_it_takes_nothing_while_something_is_there() {
        let handle = Arc::new(Handle::new(Clock::start()));
        let taking = Arc::new(Taking::new(Arc::clone(&handle)));
        let now = handle.clock.now();
        assert_eq!(taking.patience(now + 1_000_000, 100), None);
        let pieces = [b"one", b"two"].map(|bytes| Piece::new(Bytes::from_static(bytes), Arc::clone(&taking)));
        let begun = taking.since.load(Ordering::Acquire);
        assert_eq!(taking.patience(begun + 40, 100), Some(60));
        assert_eq!(taking.patience(begun + 100, 100), Some(0));
        assert_eq!(handle.activity.snapshot().stalled, begun);
        let [first, second] = pieces;
        drop(first);
        let taken = taking.since.load(Ordering::Acquire);
        assert_eq!(taking.patience(taken + 99, 100), Some(1), "the second waits from then on");
        assert_eq!(handle.activity.snapshot().stalled, taken);
        drop(second);
        assert_eq!(taking.patience(now + 1_000_000, 100), None);
        let after = handle.activity.snapshot();
        assert_eq!((after.stalled, after.phase), (0, Phase::Idle));
    }
}
