//! What a breaker shows of itself.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use super::window::Tally;

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// All do.
    Closed,
    /// None does, for a while.
    Open,
    /// A few try whether the dependency is back.
    HalfOpen,
    /// None does until the breaker is reset.
    ForcedOpen,
    /// All do until the breaker is reset, whatever comes of them.
    ForcedClosed,
}

impl State {
    /// All there are, for a metric that has one series for each.
    pub const ALL: [State; 5] =
        [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::ForcedOpen => "forced_open",
            State::ForcedClosed => "forced_closed",
        }
    }
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Leave for one call. Its outcome is reported with it; it belongs to the breaker that gave it.
#[derive(Debug)]
#[must_use = "a trial call holds its place until its outcome is reported"]
pub struct Permit {
    generation: u64,
    since: Instant,
}

impl Permit {
    pub(super) fn new(generation: u64, since: Instant) -> Permit {
        Permit { generation, since }
    }

    /// Its generation, and how long the call took.
    pub(super) fn end(self, now: Instant) -> (u64, Duration) {
        (self.generation, now.saturating_duration_since(self.since))
    }
}

/// A call may not go through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is {state}: calls are refused, try again in {retry_after:?}")]
pub struct Refused {
    /// After this it is worth asking again. Never zero; no promise that a call goes through then.
    pub retry_after: Duration,
    /// Why: open, half-open without room for another trial call, or forced open.
    pub state: State,
}

/// What the last transition has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Rises with each transition.
    pub generation: u64,
    /// The state.
    pub state: State,
    /// Why, for people.
    pub because: String,
}

/// How calls ended, since the breaker was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Succeeded, slow or not.
    pub succeeded: u64,
    /// Failed, slow or not.
    pub failed: u64,
    /// Succeeded or failed, but slow.
    pub slow: u64,
    /// Ended and said nothing about the dependency.
    pub ignored: u64,
    /// Given up by their callers.
    pub dropped: u64,
    /// Ended after a transition: counted nowhere else.
    pub outdated: u64,
    /// Did not go through.
    pub refused: u64,
}

/// Transitions by kind, since the breaker was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transitions {
    /// From closed to open.
    pub opened: u64,
    /// From open to half-open.
    pub half_opened: u64,
    /// From half-open back to open.
    pub reopened: u64,
    /// From half-open to closed.
    pub closed: u64,
    /// By hand: forced open, forced closed, reset.
    pub forced: u64,
}

/// All about a breaker at one moment, for metrics and people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state.
    pub state: State,
    /// Why it has it.
    pub because: String,
    /// The calls that count now, with their rates: those of the trial in half-open, those of the window otherwise.
    pub window: Tally,
    /// How calls ended.
    pub counts: Counts,
    /// Transitions by kind.
    pub transitions: Transitions,
    /// Why the last call failed that did, at most 200 bytes; empty when none has.
    pub last_failure: String,
}
