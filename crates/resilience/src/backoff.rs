//! Waiting longer after each failure, with full jitter, so that many clients do not return together.

use std::time::Duration;

/// Exponential backoff with full jitter: the n-th wait is a random part of `base · 2ⁿ`, at most `cap`.
///
/// ```
/// use std::time::Duration;
/// let mut backoff = resilience::Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// assert_eq!(backoff.next(1.0), Duration::from_millis(100));
/// assert_eq!(backoff.next(0.5), Duration::from_millis(100)); // half of 200 ms
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits of about `base` at first and `cap` in the end.
    pub fn new(base: Duration, cap: Duration) -> Backoff {
        Backoff { base, cap, failures: 0 }
    }

    /// The next wait. `jitter` in 0..=1 is the caller's random number. Never less than a quarter of a millisecond, so
    /// that a lucky draw is no busy loop.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.base.saturating_mul(factor).min(self.cap);
        ceiling.mul_f64(jitter.clamp(0.0, 1.0)).max(Duration::from_micros(250))
    }

    /// Failures since the last reset.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_stay_between_the_floor_and_the_cap(jitters in proptest::collection::vec(0.0..=1.0_f64, 1..80)) {
            let cap = Duration::from_secs(5);
            let mut backoff = Backoff::new(Duration::from_millis(100), cap);
            for jitter in jitters {
                let wait = backoff.next(jitter);
                prop_assert!(wait >= Duration::from_micros(250) && wait <= cap);
            }
        }
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..6).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), Duration::from_millis(100));
    }
}
