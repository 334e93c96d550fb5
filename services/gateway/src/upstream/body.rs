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
    /// The try that may read it. One that was given up can still be somewhere in a queue of its connection.
    turn: usize,
}

/// The body as one try reads it.
struct Turn {
    shared: Arc<Shared>,
    number: usize,
}

/// Nobody waits for what this try sends.
#[derive(Debug, thiserror::Error)]
#[error("the body was taken back")]
struct TakenBack;

impl Sending {
    pub(super) fn new(body: Body) -> Sending {
        use http_body::Body as _;
        let is_empty = body.is_end_stream();
        let (progress, ended) = match is_empty {
            true => (Progress::Complete, Some(Instant::now())),
            false => (Progress::Untouched, None),
        };
        let state = Mutex::new(State { body, progress, ended, turn: 0 });
        Sending(Arc::new(Shared { is_empty, state }))
    }

    /// The body, for one try.
    pub(super) fn body(&self) -> Body {
        let number = self.0.lock().turn;
        Body::new(Turn { shared: self.0.clone(), number })
    }

    pub(super) fn progress(&self) -> Progress {
        self.0.lock().progress
    }

    /// Takes the body back from the last try, so that another one can send it: true when nothing of it was read, or
    /// there is nothing to read.
    pub(super) fn take_back(&self) -> bool {
        let mut state = self.0.lock();
        let untouched = self.0.is_empty || state.progress == Progress::Untouched;
        state.turn += usize::from(untouched);
        untouched
    }

    /// When all of it was read, or it broke off.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.0.lock().ended
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Turn {
    type Data = axum::body::Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Error>>> {
        let mut state = self.shared.lock();
        if state.turn != self.number {
            return Poll::Ready(Some(Err(Error::new(TakenBack))));
        }
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
        let state = self.shared.lock();
        state.turn == self.number && state.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.lock().body.size_hint()
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
        assert!(sending.take_back());
        assert!(sending.ended().is_none());
        assert_eq!(to_bytes(sending.body(), 100).await.unwrap(), "events");
        assert_eq!(sending.progress(), Progress::Complete);
        assert!(!sending.take_back());
        assert!(sending.ended().is_some());
    }

    #[tokio::test]
    async fn a_try_that_was_given_up_reads_nothing() {
        let sending = Sending::new(Body::from("events"));
        let given_up = sending.body();
        assert!(sending.take_back());
        assert!(to_bytes(given_up, 100).await.is_err());
        assert_eq!(sending.progress(), Progress::Untouched);
        assert_eq!(to_bytes(sending.body(), 100).await.unwrap(), "events");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_told_from_one_that_is_complete() {
        let broken = futures::stream::iter([Ok("a"), Err(std::io::Error::other("gone"))]);
        let sending = Sending::new(Body::from_stream(broken));
        assert!(to_bytes(sending.body(), 100).await.is_err());
        assert_eq!(sending.progress(), Progress::Broken);
        let empty = Sending::new(Body::empty());
        assert!(empty.take_back() && empty.progress() == Progress::Complete);
    }
}
