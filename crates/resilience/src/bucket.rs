//! A token bucket that can be in debt.

use std::time::Duration;

/// Parts of a token. A rate of tokens a second gives as many of them in a microsecond as it has tokens: no rounding.
const PARTS: i64 = 1_000_000;

/// How much somebody may take: so much a second, and at most so much at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    per_second: i64,
    burst: i64,
}

impl Limit {
    /// The largest rate, burst and cost, in tokens: all sums stay below 2⁵³, which Lua's numbers hold exactly.
    pub const MOST: u32 = 1_000_000_000;

    /// Tokens a second, and tokens that a full bucket holds; `None` when one is 0 or more than [`Limit::MOST`].
    pub fn new(per_second: u32, burst: u32) -> Option<Limit> {
        let possible = 1..=Limit::MOST;
        (possible.contains(&per_second) && possible.contains(&burst))
            .then_some(Limit { per_second: per_second.into(), burst: burst.into() })
    }

    /// Tokens a second.
    pub fn per_second(self) -> u32 {
        u32::try_from(self.per_second).unwrap_or(Limit::MOST)
    }

    /// Tokens of a full bucket.
    pub fn burst(self) -> u32 {
        u32::try_from(self.burst).unwrap_or(Limit::MOST)
    }

    /// The share of one of so many that keep the limit together, rounded down, at least 1.
    #[must_use]
    pub fn share(self, of: u32) -> Limit {
        let of = i64::from(of.max(1));
        Limit { per_second: (self.per_second / of).max(1), burst: (self.burst / of).max(1) }
    }

    /// Time in which an empty bucket becomes full, in whole seconds, rounded up.
    pub fn window_seconds(self) -> u32 {
        u32::try_from((self.burst + self.per_second - 1) / self.per_second).unwrap_or(u32::MAX)
    }

    fn capacity(self) -> i64 {
        self.burst * PARTS
    }
}

/// How full a bucket is, in millionths of a token; negative when it is in debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub i64);

impl Level {
    /// Whole tokens that are left; none in debt.
    pub fn remaining(self) -> u32 {
        u32::try_from(self.0.max(0) / PARTS).unwrap_or(u32::MAX)
    }

    /// How long until `cost` can be taken, zero when it can be now. A cost above the burst needs a full bucket only.
    pub fn wait(self, limit: Limit, cost: u32) -> Duration {
        let missing = needed(limit, cost) - self.0;
        let micros = (missing.max(0) + limit.per_second - 1) / limit.per_second;
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The share of one of so many buckets that are this one together.
    #[must_use]
    pub fn share(self, of: u32) -> Level {
        Level(self.0 / i64::from(of.max(1)))
    }
}

/// One bucket. Takes the time, in microseconds of any clock; a clock that goes back gives no tokens and takes none.
///
/// ```
/// use resilience::{Bucket, Limit};
/// let limit = Limit::new(10, 20).unwrap();
/// let mut bucket = Bucket::full(limit, 0);
/// assert!(bucket.take(limit, 0, 50)); // more than the burst passes when the bucket is full,
/// assert!(!bucket.take(limit, 0, 1)); // and leaves it in debt
/// assert_eq!(bucket.level(limit, 0).wait(limit, 1).as_millis(), 3100);
/// assert!(bucket.take(limit, 3_100_000, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    level: i64,
    at: u64,
}

impl Bucket {
    /// A full one.
    pub fn full(limit: Limit, now: u64) -> Bucket {
        Bucket { level: limit.capacity(), at: now }
    }

    /// One with a level that was seen elsewhere.
    pub fn at(level: Level, now: u64) -> Bucket {
        Bucket { level: level.0, at: now }
    }

    /// Takes `cost` tokens if they are there, or if the bucket is full. What is missing then is debt. A limit that has
    /// changed holds from now on.
    pub fn take(&mut self, limit: Limit, now: u64, cost: u32) -> bool {
        self.refill(limit, now);
        let allowed = self.level >= needed(limit, cost);
        if allowed {
            self.settle_by(limit, cost.into());
        }
        allowed
    }

    /// Takes so many more tokens than were taken before the cost was known, whether or not they are there; gives back
    /// when negative.
    pub fn settle(&mut self, limit: Limit, now: u64, more: i64) {
        self.refill(limit, now);
        self.settle_by(limit, more);
    }

    /// How full it is now.
    pub fn level(&self, limit: Limit, now: u64) -> Level {
        let mut then = *self;
        then.refill(limit, now);
        Level(then.level)
    }

    fn settle_by(&mut self, limit: Limit, more: i64) {
        let most = i64::from(Limit::MOST);
        let level = self.level - more.clamp(-most, most) * PARTS;
        // The debt has an end, so that no sum overflows.
        self.level = level.clamp(-most * PARTS, limit.capacity());
    }

    fn refill(&mut self, limit: Limit, now: u64) {
        let elapsed = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.at = now;
        self.level =
            self.level.saturating_add(elapsed.saturating_mul(limit.per_second)).min(limit.capacity());
    }
}

fn needed(limit: Limit, cost: u32) -> i64 {
    i64::from(cost).min(limit.burst) * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// Goes through time microsecond by microsecond.
    struct Plain {
        level: i64,
        at: u64,
    }

    impl Plain {
        fn pass(&mut self, limit: Limit, now: u64) {
            while self.at < now {
                self.at += 1;
                self.level += i64::from(limit.per_second());
                self.level = self.level.min(i64::from(limit.burst()) * 1_000_000);
            }
            self.at = now;
            self.level = self.level.min(i64::from(limit.burst()) * 1_000_000);
        }

        fn take(&mut self, limit: Limit, cost: u32) -> bool {
            let is_full = self.level == i64::from(limit.burst()) * 1_000_000;
            let passes = is_full || self.level >= i64::from(cost) * 1_000_000;
            if passes {
                self.level -= i64::from(cost) * 1_000_000;
            }
            passes
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(u32),
        Settle(i64),
        Limit(Limit),
    }

    fn limit() -> impl Strategy<Value = Limit> {
        (1..3000_u32, 1..20_u32).prop_map(|(rate, burst)| Limit::new(rate, burst).unwrap())
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..30_u32).prop_map(Step::Take),
            2 => (-20..20_i64).prop_map(Step::Settle),
            1 => limit().prop_map(Step::Limit),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_the_plain_model_does(
            first in limit(),
            steps in vec((0..5000_u64, any::<bool>(), step()), 1..100),
        ) {
            let (mut limit, mut now) = (first, 1_000_000_u64);
            let mut bucket = Bucket::full(limit, now);
            let mut plain = Plain { level: i64::from(limit.burst()) * 1_000_000, at: now };
            for (passed, back, step) in steps {
                now = if back && passed < 50 { now - passed } else { now + passed };
                plain.pass(limit, now);
                match step {
                    Step::Take(cost) => prop_assert_eq!(bucket.take(limit, now, cost), plain.take(limit, cost)),
                    Step::Settle(more) => {
                        bucket.settle(limit, now, more);
                        plain.level = (plain.level - more * 1_000_000).min(i64::from(limit.burst()) * 1_000_000);
                    }
                    Step::Limit(new) => {
                        bucket.settle(limit, now, 0);
                        limit = new;
                        plain.pass(limit, now);
                    }
                }
                prop_assert_eq!(bucket.level(limit, now), Level(plain.level));
            }
        }

        /// What is promised to clients: after the wait it passes, a microsecond before it does not.
        #[test]
        fn the_wait_is_exact(limit in limit(), spent in 0..100_u32, cost in 1..50_u32) {
            let mut bucket = Bucket::full(limit, 0);
            bucket.settle(limit, 0, spent.into());
            let wait = u64::try_from(bucket.level(limit, 0).wait(limit, cost).as_micros()).unwrap();
            prop_assert!(bucket.clone().take(limit, wait, cost));
            prop_assert!(wait == 0 || !bucket.clone().take(limit, wait - 1, cost));
        }

        #[test]
        fn nothing_overflows(rate in 1..=Limit::MOST, burst in 1..=Limit::MOST, now in any::<u64>(), steps in vec((any::<u64>(), any::<u32>(), any::<i64>()), 1..50)) {
            let limit = Limit::new(rate, burst).unwrap();
            let mut bucket = Bucket::full(limit, now);
            for (now, cost, more) in steps {
                bucket.take(limit, now, cost);
                bucket.settle(limit, now, more);
                let level = bucket.level(limit, now);
                prop_assert!(level.0.abs() < 1 << 53);
                prop_assert!(level.wait(limit, cost) <= Duration::from_secs(2 * u64::from(Limit::MOST)));
            }
        }
    }

    #[test]
    fn limits_have_bounds_and_shares() {
        assert_eq!((Limit::new(0, 1), Limit::new(1, 0), Limit::new(1, Limit::MOST + 1)), (None, None, None));
        let limit = Limit::new(10, 25).unwrap();
        assert_eq!(limit.share(3), Limit::new(3, 8).unwrap());
        assert_eq!(limit.share(100), Limit::new(1, 1).unwrap());
        assert_eq!(limit.window_seconds(), 3);
    }
}
