//! The outcomes of the last calls, or of the last time, in bounded memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::{BreakerConfig, Window};

/// How many calls there were, and what was wrong with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that ended and say something about the dependency.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were slow, failed or not.
    pub slow: u64,
}

impl Tally {
    /// Share that failed; 0 when there was no call.
    pub fn failure_rate(&self) -> f64 {
        rate(self.failed, self.calls)
    }

    /// Share that was slow; 0 when there was no call.
    pub fn slow_rate(&self) -> f64 {
        rate(self.slow, self.calls)
    }

    /// Whether one of the rates has reached its threshold.
    pub(super) fn reaches(&self, config: &BreakerConfig) -> bool {
        self.failure_rate() >= config.failure_rate || self.slow_rate() >= config.slow_rate
    }

    pub(super) fn add(&mut self, mark: Mark) {
        self.calls += 1;
        self.failed += u64::from(mark.failed);
        self.slow += u64::from(mark.slow);
    }

    fn subtract(&mut self, mark: Mark) {
        self.calls -= 1;
        self.failed -= u64::from(mark.failed);
        self.slow -= u64::from(mark.slow);
    }

    /// With so many more calls, all of them failed and slow.
    pub(super) fn with_bad(&self, more: u64) -> Tally {
        Tally { calls: self.calls + more, failed: self.failed + more, slow: self.slow + more }
    }

    /// With so many more calls, all of them well.
    pub(super) fn with_good(&self, more: u64) -> Tally {
        Tally { calls: self.calls + more, ..*self }
    }
}

fn rate(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

/// What was wrong with one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// The calls that count now.
#[derive(Debug)]
pub(super) enum Recent {
    Calls(LastCalls),
    Time(LastTime),
}

impl Recent {
    pub(super) fn new(window: Window, now: Instant) -> Recent {
        match window {
            Window::Count(calls) => Recent::Calls(LastCalls::new(calls as usize)),
            Window::Time(time) => Recent::Time(LastTime::new(time, now)),
        }
    }

    pub(super) fn record(&mut self, mark: Mark, now: Instant) {
        match self {
            Recent::Calls(calls) => calls.record(mark),
            Recent::Time(time) => time.record(mark, now),
        }
    }

    pub(super) fn tally(&self, now: Instant) -> Tally {
        match self {
            Recent::Calls(calls) => calls.tally,
            Recent::Time(time) => time.tally(now),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Recent::Calls(calls) => calls.clear(),
            Recent::Time(time) => *time.buckets = [Tally::default(); BUCKETS],
        }
    }
}

/// The last so many calls, one by one, and their sum.
#[derive(Debug)]
pub(super) struct LastCalls {
    size: usize,
    marks: VecDeque<Mark>,
    tally: Tally,
}

impl LastCalls {
    fn new(size: usize) -> LastCalls {
        LastCalls { size, marks: VecDeque::with_capacity(size), tally: Tally::default() }
    }

    fn record(&mut self, mark: Mark) {
        if self.marks.len() == self.size
            && let Some(oldest) = self.marks.pop_front()
        {
            self.tally.subtract(oldest);
        }
        self.marks.push_back(mark);
        self.tally.add(mark);
    }

    fn clear(&mut self) {
        self.marks.clear();
        self.tally = Tally::default();
    }
}

const PARTS: u32 = 20;
const BUCKETS: usize = PARTS as usize;

/// The calls of the last time, summed up by twentieths of it.
#[derive(Debug)]
pub(super) struct LastTime {
    epoch: Instant,
    length: Duration,
    /// Bucket n of all time stands at n modulo their number.
    buckets: Box<[Tally; BUCKETS]>,
    /// The newest bucket of all time that was written to.
    newest: usize,
}

impl LastTime {
    fn new(time: Duration, now: Instant) -> LastTime {
        LastTime { epoch: now, length: time / PARTS, buckets: Box::default(), newest: 0 }
    }

    fn record(&mut self, mark: Mark, now: Instant) {
        let current = self.bucket(now);
        let passed = (current - self.newest).min(BUCKETS);
        for bucket in current + 1 - passed..=current {
            self.buckets[bucket % BUCKETS] = Tally::default();
        }
        self.newest = current;
        self.buckets[current % BUCKETS].add(mark);
    }

    fn tally(&self, now: Instant) -> Tally {
        let current = self.bucket(now);
        let oldest = (current + 1).saturating_sub(BUCKETS);
        let mut sum = Tally::default();
        for bucket in oldest..=self.newest {
            let tally = self.buckets[bucket % BUCKETS];
            sum.calls += tally.calls;
            sum.failed += tally.failed;
            sum.slow += tally.slow;
        }
        sum
    }

    /// Which bucket of all time is current; never one before the newest, should time seem to go back.
    fn bucket(&self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.epoch).as_nanos();
        let bucket = passed / self.length.as_nanos().max(1);
        usize::try_from(bucket).unwrap_or(usize::MAX - 1).max(self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_millis(2000);

    proptest! {
        #[test]
        fn memory_of_a_count_window_does_not_grow(
            size in 1..50_usize,
            marks in proptest::collection::vec(any::<(bool, bool)>(), 0..500),
        ) {
            let mut calls = LastCalls::new(size);
            let capacity = calls.marks.capacity();
            for (failed, slow) in marks {
                calls.record(Mark { failed, slow });
                prop_assert!(calls.marks.len() <= size);
                prop_assert_eq!(calls.marks.capacity(), capacity);
                prop_assert_eq!(calls.tally.calls, calls.marks.len() as u64);
            }
        }

        #[test]
        fn a_call_counts_for_95_percent_of_the_time_and_never_longer(began in 0..10_000_u64, age in 0..5_000_u64) {
            let epoch = Instant::now();
            let mut time = LastTime::new(WINDOW, epoch);
            let at = epoch + Duration::from_millis(began);
            time.record(Mark { failed: true, slow: false }, at);
            let age = Duration::from_millis(age);
            let counts = time.tally(at + age).calls == 1;
            prop_assert!(counts || age > WINDOW.mul_f64(0.95), "forgotten after {age:?}");
            prop_assert!(!counts || age < WINDOW, "remembered after {age:?}");
        }
    }

    #[test]
    fn a_time_that_seems_to_go_back_counts_as_the_newest() {
        let epoch = Instant::now();
        let mut time = LastTime::new(WINDOW, epoch);
        let good = Mark { failed: false, slow: false };
        time.record(good, epoch + WINDOW * 5);
        time.record(good, epoch);
        assert_eq!(time.tally(epoch).calls, 2);
        assert_eq!(time.tally(epoch + WINDOW * 6).calls, 0);
    }
}
