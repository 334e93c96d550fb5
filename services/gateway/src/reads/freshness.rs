//! How long an answer is fresh: as the time that it is about is past or not.

use super::CacheConfig;
use record::Timestamp;
use std::time::Duration;

/// Events come late: what is at least so old hardly changes any more.
const SETTLED: Duration = Duration::from_secs(5 * 60);

/// What an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The time up to now.
    Present,
    /// A time that is over.
    Past,
    /// What may not be older than the question: kept only for the time when the store is out.
    Now,
}

impl Freshness {
    /// Of a range of time that ends before `to`; without it, it goes on.
    pub(crate) fn until(to: Option<Timestamp>, now: Timestamp) -> Freshness {
        let settled = i64::try_from(SETTLED.as_nanos()).unwrap_or(i64::MAX);
        match to {
            Some(to) if to.as_nanos().saturating_add(settled) <= now.as_nanos() => Freshness::Past,
            _ => Freshness::Present,
        }
    }

    pub(super) fn of(self, config: &CacheConfig) -> Duration {
        match self {
            Freshness::Present => config.present,
            Freshness::Past => config.past,
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
        assert_eq!(of("2026-01-31T11:55:00Z"), Freshness::Past);
        assert_eq!(of("2026-01-31T11:55:01Z"), Freshness::Present);
        assert_eq!(of("2026-02-01T00:00:00Z"), Freshness::Present);
        assert_eq!(Freshness::until(None, now), Freshness::Present);
    }
}
