//! The body of a request on its way to a service: it can be taken back as long as nobody has begun to read it.

use axum::{Error, body::Body};
use http_body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing of it was read: the request can go elsewhere.
    Untouched,
    /// A part was read.
    Begun,
    /// All of it was read.
    Complete,
    /// The client broke it off.
    Broken,
}

/// A body that several tries can send, as long as none has begun.
#[derive(Clone)]
pub(super) struct Sending(Arc<Shared>);

struct Shared {
    is_empty: bool,
    state: Mutex<State>,
}

struct State {
    body: Body,
    progress: Progress,
    /// When all of it was read, or it broke off.
    ended: Option<Instant>,
}

impl Sending {
    pub(super) fn new(body: Body) -> Sending {
        use http_body::Body as _;
        let is_empty = body.is_end_stream();
        let (progress, ended) = match is_empty {
            true => (Progress::Complete, Some(Instant::now())),
            false => (Progress::Untouched, None),
        };
        Sending(Arc::new(Shared { is_empty, state: Mutex::new(State { body, progress, ended }) }))
    }

    /// The body, for one try.
    pub(super) fn body(&self) -> Body {
        Body::new(self.clone())
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Whether another try can send it: nothing of it was read, or there is nothing to read.
    pub(super) fn can_be_sent_again(&self) -> bool {
        self.0.is_empty || self.progress() == Progress::Untouched
    }

    /// When all of it was read, or it broke off.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Sending {
    type Data = axum::body::Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Error>>> {
        let mut state = self.lock();
        if state.progress == Progress::Untouched {
            state.progress = Progress::Begun;
        }
        let frame = ready!(Pin::new(&mut state.body).poll_frame(context));
        let ended = match &frame {
            None => Some(Progress::Complete),
            Some(Err(_)) => Some(Progress::Broken),
            Some(Ok(_)) => state.body.is_end_stream().then_some(Progress::Complete),
        };
        if let Some(progress) = ended {
            state.progress = progress;
            state.ended.get_or_insert_with(Instant::now);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    #[tokio::test]
    async fn a_body_can_be_sent_again_until_somebody_reads_it() {
        let sending = Sending::new(Body::from("events"));
        drop(sending.body());
        assert!(sending.can_be_sent_again());
        assert!(sending.ended().is_none());
        assert_eq!(to_bytes(sending.body(), 100).await.unwrap(), "events");
        assert_eq!(sending.progress(), Progress::Complete);
        assert!(!sending.can_be_sent_again());
        assert!(sending.ended().is_some());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_from_one_that_is_complete() {
        let broken = futures::stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]);
        let sending = Sending::new(Body::from_stream(broken));
        assert!(to_bytes(sending.body(), 100).await.is_err());
        assert_eq!(sending.progress(), Progress::Broken);
        let empty = Sending::new(Body::empty());
        assert!(empty.can_be_sent_again() && empty.progress() == Progress::Complete);
    }
}
