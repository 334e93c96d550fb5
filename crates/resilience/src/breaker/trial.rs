//! The half-open state: a few calls try whether the dependency is back.

use std::time::Instant;

use super::config::BreakerConfig;
use super::window::{Mark, Tally};

/// What a trial ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The dependency is back.
    Close,
    /// It is not.
    Reopen,
}

/// The trial calls: those that are out, and what those that ended have shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trial {
    out: u64,
    ended: Tally,
    /// When the trial ends with what it has. Set while there is a call in it, out or ended.
    deadline: Option<Instant>,
}

impl Trial {
    /// Whether one more call may go out.
    pub(super) fn has_room(&self, config: &BreakerConfig) -> bool {
        self.out + self.ended.calls < u64::from(config.half_open_calls)
    }

    /// A call goes out; the first one starts the time.
    pub(super) fn go_out(&mut self, config: &BreakerConfig, now: Instant) {
        self.out += 1;
        self.deadline.get_or_insert(now + config.half_open_time);
    }

    /// A call came back that says nothing: another may go in its place.
    pub(super) fn give_back(&mut self) {
        self.out = self.out.saturating_sub(1);
        if self.out == 0 && self.ended.calls == 0 {
            self.deadline = None;
        }
    }

    /// A call has ended.
    pub(super) fn end(&mut self, mark: Mark) {
        self.out = self.out.saturating_sub(1);
        self.ended.add(mark);
    }

    /// The verdict, once the calls that have not ended can change nothing.
    pub(super) fn verdict(&self, config: &BreakerConfig) -> Option<Verdict> {
        let open = u64::from(config.half_open_calls).saturating_sub(self.ended.calls);
        if self.ended.with_good(open).reaches(config) {
            Some(Verdict::Reopen)
        } else if !self.ended.with_bad(open).reaches(config) {
            Some(Verdict::Close)
        } else {
            None
        }
    }

    /// The verdict of a trial whose time is up, and when that was: a call that is still out counts as a bad one.
    pub(super) fn overdue(&self, config: &BreakerConfig, now: Instant) -> Option<(Verdict, Instant)> {
        let deadline = self.deadline.filter(|deadline| *deadline <= now)?;
        let bad = self.ended.with_bad(self.out).reaches(config);
        Some((if bad { Verdict::Reopen } else { Verdict::Close }, deadline))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn out(&self) -> u64 {
        self.out
    }

    pub(super) fn ended(&self) -> Tally {
        self.ended
    }
}
