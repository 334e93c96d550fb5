//! What this gateway knows of its callers by itself: a bucket of each, for when Redis does not answer, and how many
//! bytes their events have.
//!
//! A local bucket is as full as the one in Redis was at its last answer, as far as this gateway's share goes. So it does
//! not start full when Redis goes away.

use super::{Kind, Name};
use lru::LruCache;
use resilience::{Bucket, Level, Limit};
use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Organisations that are known at one time; the one that asked longest ago is forgotten.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
/// Bytes of an event on the wire when nothing is known yet.
const USUAL_EVENT_BYTES: f64 = 250.0;
/// Weight of the newest request in a running mean.
const NEWEST: f64 = 0.1;

/// All that is known, behind one lock.
#[derive(Debug)]
pub(super) struct Local(Mutex<LruCache<Name, Known>>);

#[derive(Debug, Default)]
struct Known {
    write: Option<Bucket>,
    read: Option<Bucket>,
    /// Running means of bytes and events a request.
    wire: Option<(f64, f64)>,
}

impl Known {
    fn bucket(&mut self, kind: Kind, limit: Limit, now: u64) -> &mut Bucket {
        let bucket = match kind {
            Kind::Write => &mut self.write,
            Kind::Read => &mut self.read,
        };
        bucket.get_or_insert_with(|| Bucket::full(limit, now))
    }
}

impl Local {
    pub(super) fn new() -> Local {
        Local(Mutex::new(LruCache::new(MOST)))
    }

    /// Whether so many tokens were there, and what is left. `limit` is this gateway's share.
    pub(super) fn take(&self, name: &Name, kind: Kind, limit: Limit, now: u64, cost: u32) -> (bool, Level) {
        self.with(name, |known| {
            let bucket = known.bucket(kind, limit, now);
            let taken = bucket.take(limit, now, cost);
            (taken, bucket.level(limit, now))
        })
    }

    pub(super) fn settle(&self, name: &Name, kind: Kind, limit: Limit, now: u64, more: i64) {
        self.with(name, |known| known.bucket(kind, limit, now).settle(limit, now, more));
    }

    pub(super) fn look(&self, name: &Name, kind: Kind, limit: Limit, now: u64) -> Level {
        self.with(name, |known| known.bucket(kind, limit, now).level(limit, now))
    }

    /// The bucket is as full as this.
    pub(super) fn mirror(&self, name: &Name, kind: Kind, limit: Limit, now: u64, level: Level) {
        self.with(name, |known| *known.bucket(kind, limit, now) = Bucket::at(level, now));
    }

    /// How many events so many bytes probably are, at least 1; as many as usual when the bytes are not known.
    pub(super) fn estimate(&self, name: &Name, bytes: Option<u64>) -> u32 {
        let wire = self.with(name, |known| known.wire);
        let events = match (bytes, wire) {
            (Some(bytes), Some((mean_bytes, mean_events))) => bytes as f64 * mean_events / mean_bytes,
            (Some(bytes), None) => bytes as f64 / USUAL_EVENT_BYTES,
            (None, Some((_, mean_events))) => mean_events,
            (None, None) => 1.0,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let events = events.round().clamp(1.0, f64::from(Limit::MOST)) as u32;
        events
    }

    /// A request had so many bytes and events.
    pub(super) fn learn(&self, name: &Name, bytes: u64, events: u32) {
        if bytes == 0 || events == 0 {
            return;
        }
        let (bytes, events) = (bytes as f64, f64::from(events));
        self.with(name, |known| {
            let (mean_bytes, mean_events) = known.wire.unwrap_or((bytes, events));
            let mean = |mean: f64, newest: f64| mean + (newest - mean) * NEWEST;
            known.wire = Some((mean(mean_bytes, bytes), mean(mean_events, events)));
        });
    }

    /// Organisations that are known.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn with<T>(&self, name: &Name, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.lock();
        act(all.get_or_insert_mut(name.clone(), Known::default))
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Name, Known>> {
        // Nothing in here panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::of(&text.parse().unwrap())
    }

    #[test]
    fn the_estimate_follows_the_organisation() {
        let (local, acme) = (Local::new(), name("acme"));
        assert_eq!((local.estimate(&acme, Some(0)), local.estimate(&acme, Some(2500))), (1, 10));
        assert_eq!(local.estimate(&acme, None), 1);
        for _ in 0..100 {
            local.learn(&acme, 100_000, 1000);
        }
        assert_eq!((local.estimate(&acme, Some(2500)), local.estimate(&acme, None)), (25, 1000));
        assert_eq!(local.estimate(&name("other"), Some(2500)), 10);
        local.learn(&acme, 5, 0);
        assert_eq!(local.estimate(&acme, Some(u64::MAX)), Limit::MOST);
    }

    #[test]
    fn what_is_known_is_bounded_and_a_bucket_is_as_full_as_the_one_it_mirrors() {
        let (local, limit) = (Local::new(), Limit::new(10, 10).unwrap());
        local.mirror(&name("acme"), Kind::Read, limit, 0, Level(-1_000_000));
        assert_eq!(local.take(&name("acme"), Kind::Read, limit, 0, 1), (false, Level(-1_000_000)));
        assert_eq!(local.take(&name("acme"), Kind::Write, limit, 0, 1).1.remaining(), 9);
        for index in 0..20_000 {
            local.take(&name(&format!("o{index}")), Kind::Read, limit, 0, 1);
        }
        assert_eq!(local.len(), MOST.get());
    }
}
