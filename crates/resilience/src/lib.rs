//! What keeps a fault small. State machines are pure, without IO or clock of their own: whoever uses them brings the
//! time and the randomness. [`SharedBreaker`] is the one thin layer above them that waits, [`Breakers`] shows them.
//!
//! # Backoff
//!
//! [`Backoff`] is for one caller that tries again: it waits longer after each failure.
//!
//! # Token bucket
//!
//! [`Bucket`] keeps somebody within a [`Limit`]. It can be in debt, for costs that are known only afterwards.
//!
//! # Circuit breaker
//!
//! [`Breaker`] is for all callers of one dependency: it sees that calls fail or are slow and refuses further ones at
//! once, so that callers do not queue for what will not answer and the dependency is left alone while it recovers.
//!
//! ```text
//!              a rate reaches its threshold
//! ┌────────┐    with the minimum of calls    ┌──────┐
//! │ closed │ ──────────────────────────────▶ │ open │ ◀─────┐
//! └────────┘                                 └──────┘       │
//!      ▲                 the wait is over       │           │ trial calls fail, are slow
//!      │                 and a call comes       ▼           │ or do not end: a longer wait
//!      │    trial calls are good          ┌───────────┐     │
//!      └───────────────────────────────── │ half-open │ ────┘
//!                                         └───────────┘
//!
//! any state ── force_open ──▶ forced open     any state ── force_closed ──▶ forced closed     reset ──▶ closed
//! ```
//!
//! - **Closed**: all calls go through. Their outcomes make two rates over a [`Window`] of the last calls or the last
//!   time: that of failures and that of slow calls. An outcome that says nothing about the dependency is ignored.
//! - **Open**: calls are refused, with the time after which one may try again. Each wait is longer than the one
//!   before, up to a cap, until the breaker closes.
//! - **Half-open**: so many calls as are permitted try whether the dependency is back, all others are refused. A call
//!   that is ignored or given up makes room for another. As soon as the trial calls that have not ended cannot change
//!   the result any more, it stands. When the time for the trial is up, the calls that have ended count, and those that
//!   have not count as failed.
//! - **Forced open** refuses all calls, **forced closed** lets all through and only watches, until [`Breaker::reset`].
//!
//! Each transition begins a new generation. A call that began in an earlier one tells of a time that is over: its
//! outcome counts nowhere.
//!
//! Time passes only when somebody asks: [`Breaker::state`] says at any moment what holds, transitions are counted by
//! the next call.

mod backoff;
mod breaker;
mod breakers;
mod bucket;
mod shared;

pub use backoff::Backoff;
pub use breaker::{
    Breaker, BreakerConfig, ConfigMistakes, Counts, Permit, Refused, Snapshot, State, Status, Tally,
    Transitions, Window,
};
pub use breakers::Breakers;
pub use bucket::{Bucket, Level, Limit};
pub use shared::{CallError, Changes, Outcome, PermitGuard, SharedBreaker};
