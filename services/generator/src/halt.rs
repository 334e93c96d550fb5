//! What ends a run before its time.

use std::{io, sync::OnceLock};
use tokio_util::sync::CancellationToken;

/// Why a run ended early, other than by the order to stop.
#[derive(Debug)]
pub(crate) enum Cause {
    /// No request can succeed.
    Hopeless(String),
    /// Part of a replay could not be sent, so the rest is not sent either.
    GivenUp(String),
    /// The list of acknowledged events cannot be written.
    AckedFile(io::Error),
}

/// Ends a run: from outside, or for a cause. The first cause counts.
pub(crate) struct Halt {
    token: CancellationToken,
    cause: OnceLock<Cause>,
}

impl Halt {
    /// Ends with `stop` too.
    pub(crate) fn new(stop: &CancellationToken) -> Halt {
        Halt { token: stop.child_token(), cause: OnceLock::new() }
    }

    pub(crate) fn because(&self, cause: Cause) {
        // A later cause follows from the first.
        let _ = self.cause.set(cause);
        self.token.cancel();
    }

    pub(crate) async fn halted(&self) {
        self.token.cancelled().await;
    }

    pub(crate) fn into_cause(self) -> Option<Cause> {
        self.cause.into_inner()
    }
}
