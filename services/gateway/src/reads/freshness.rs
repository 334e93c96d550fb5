//! How long an answer is fresh: as the time that it is about is past or not.

use super::CacheConfig;
use record::Timestamp;
use std::time::Duration;
use store::SETTLED;

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The time up to now.
    Present,
    /// A time that is over, and has been for so long.
    Past { over_for: Duration },
    /// What may not be older than the question: kept only for the time when the store is out.
    Now,
}

impl Freshness {
    /// Of what does not change.
    pub(crate) const UNCHANGING: Freshness = Freshness::Past { over_for: Duration::MAX };

    /// Of a range of time that ends before `to`; without it, it goes on.
    pub(crate) fn until(to: Option<Timestamp>, now: Timestamp) -> Freshness {
        let since = |to: Timestamp| u64::try_from(now.as_nanos().saturating_sub(to.as_nanos())).ok();
        let over_for = to.and_then(since).and_then(|since| Duration::from_nanos(since).checked_sub(SETTLED));
        match over_for {
            Some(over_for) => Freshness::Past { over_for },
            None => Freshness::Present,
        }
    }

    /// How long at most.
    pub(super) fn of(self, config: &CacheConfig) -> Duration {
        match self {
            Freshness::Present => config.present,
            Freshness::Past { .. } => config.past,
            Freshness::Now => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_is_over_is_past() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let of = |to: &str| Freshness::until(Some(to.parse().unwrap()), now);
        let past = |seconds| Freshness::Past { over_for: Duration::from_secs(seconds) };
        assert_eq!(of("2026-01-31T11:55:00Z"), past(0));
        assert_eq!(of("2026-01-31T11:54:00Z"), past(60));
        assert_eq!(of("2026-01-31T11:55:01Z"), Freshness::Present);
        assert_eq!(of("2026-02-01T00:00:00Z"), Freshness::Present);
        assert_eq!(Freshness::until(None, now), Freshness::Present);
    }
}
