//! When the keys are fetched, and how long they are believed. Pure: it takes the time.

use crate::auth::config::JwksConfig;
use resilience::Backoff;
use std::time::{Duration, Instant};

/// First and longest wait before trying again after a fetch that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What became of the wish for a fetch before its time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One is running, or about to.
    Running,
    /// One begins now.
    Begins,
    /// The last one was a short time ago.
    TooSoon,
}

/// Fetches as they were and will be.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    refetch: Duration,
    keep: Duration,
    next: Instant,
    running: bool,
    begun: Option<Instant>,
    succeeded: Option<Instant>,
    backoff: Backoff,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(super) fn new(config: &JwksConfig, now: Instant) -> Schedule {
        Schedule {
            refresh: config.refresh,
            refetch: config.refetch,
            keep: config.keep,
            next: now,
            running: false,
            begun: None,
            succeeded: None,
            backoff: Backoff::new(RETRY.0.min(config.refresh), RETRY.1.min(config.refresh)),
        }
    }

    /// When the next fetch begins.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.running = true;
        self.begun = Some(now);
    }

    /// The issuer's `max-age` makes the next fetch sooner, never later: `refresh` is the promise how long a key is
    /// believed that was taken away.
    pub(super) fn succeeded(&mut self, now: Instant, max_age: Option<Duration>) {
        let asked = max_age.map_or(self.refresh, |age| age.max(self.refetch));
        self.running = false;
        self.succeeded = Some(now);
        self.backoff.reset();
        self.next = now + asked.min(self.refresh);
    }

    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        self.running = false;
        self.next = now + self.backoff.next(jitter);
    }

    /// Somebody has a token whose key is not known.
    pub(super) fn ask(&mut self, now: Instant) -> Asked {
        if self.running || self.next <= now {
            return Asked::Running;
        }
        if self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < self.refetch) {
            return Asked::TooSoon;
        }
        self.next = now;
        Asked::Begins
    }

    /// Whether the keys may be believed.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age <= self.keep)
    }

    /// Time since the keys were fetched; `None` before that.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.succeeded.map(|at| now.saturating_duration_since(at))
    }

    /// Whether the last fetch that ended failed.
    pub(super) fn has_failed(&self) -> bool {
        self.backoff.failures() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(now: Instant) -> Schedule {
        let url = "http://localhost/".parse().unwrap();
        Schedule::new(&JwksConfig { keep: 600 * SECOND, ..JwksConfig::new(url) }, now)
    }

    #[test]
    fn the_next_fetch_is_after_the_usual_time_or_sooner_if_the_issuer_asks() {
        let now = Instant::now();
        for (max_age, next) in
            [(None, 300), (Some(60), 60), (Some(0), 10), (Some(86_400), 300), (Some(u64::MAX), 300)]
        {
            let mut schedule = schedule(now);
            schedule.begin(now);
            schedule.succeeded(now, max_age.map(Duration::from_secs));
            assert_eq!(schedule.next(), now + next * SECOND, "{max_age:?}");
        }
    }

    #[test]
    fn keys_are_believed_for_so_long_without_an_answer() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert!(!schedule.is_usable(now));
        schedule.begin(now);
        schedule.succeeded(now, None);
        schedule.failed(now + 300 * SECOND, 1.0);
        assert!(schedule.is_usable(now + 600 * SECOND) && !schedule.is_usable(now + 601 * SECOND));
        schedule.succeeded(now + 700 * SECOND, None);
        assert!(schedule.is_usable(now + 700 * SECOND) && !schedule.has_failed());
    }

    proptest! {
        /// However often somebody asks and whatever becomes of the fetches: those that are asked for begin no sooner
        /// than `refetch` after the one before, and while one runs all wait for it.
        #[test]
        fn wishes_begin_few_fetches(steps in proptest::collection::vec((0_u64..3_000, 0_u8..4), 1..300)) {
            let mut now = Instant::now();
            let mut schedule = schedule(now);
            let mut last: Option<Instant> = None;
            for (millis, what) in steps {
                now += Duration::from_millis(millis);
                match (what, schedule.running) {
                    (0, true) => schedule.succeeded(now, None),
                    (1, true) => schedule.failed(now, 0.5),
                    (_, true) => prop_assert_eq!(schedule.ask(now), Asked::Running),
                    (_, false) if schedule.next() <= now => {
                        schedule.begin(now);
                        last = Some(now);
                    }
                    (_, false) => match schedule.ask(now) {
                        Asked::Begins => {
                            prop_assert!(last.is_none_or(|last| now - last >= 10 * SECOND));
                            prop_assert!(schedule.next() <= now);
                            prop_assert_eq!(schedule.ask(now), Asked::Running);
                        }
                        Asked::TooSoon => prop_assert!(last.is_some_and(|last| now - last < 10 * SECOND)),
                        Asked::Running => prop_assert!(false, "nothing runs"),
                    },
                }
            }
        }
    }
}
