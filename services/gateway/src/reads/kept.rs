//! Answers kept in this process, bounded in bytes; those that are asked for least go first.

use super::{Age, Answer};
use axum::body::Bytes;
use moka::sync::Cache;
use record::OrganizationId;
use std::time::{Duration, Instant};

/// An answer that is larger is not kept.
const ENTRY_BYTES: usize = 1 << 20;
/// What an entry takes beside its bytes, about.
const OVERHEAD: usize = 256;

/// A question: whose, to which route, and what it asks. Answers of one organisation are found by no key of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Whose events it is about; `None` for what concerns all, such as the ledger.
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) route: &'static str,
    /// All else that the answer depends on, in one form.
    pub(crate) question: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) body: Bytes,
    /// When its question began: what was stored later may be missing.
    pub(super) asked: Instant,
    /// When it was there.
    pub(super) made: Instant,
}

impl Entry {
    /// As an answer that nobody had before.
    pub(super) fn just_made(self) -> Answer {
        Answer { body: self.body, kept: None }
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }

    pub(super) fn answer(&self, fresh_for: Duration, now: Instant) -> Answer {
        let age = self.age(now);
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        // Rounded down, so that a stale answer is below zero.
        let ttl = match fresh_for.checked_sub(age) {
            Some(left) => seconds(left),
            None => -seconds(age - fresh_for) - 1,
        };
        Answer { body: self.body.clone(), kept: Some(Age { age, ttl }) }
    }
}

/// All that are kept; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Kept(Cache<Key, Entry>);

impl Kept {
    pub(super) fn new(bytes: u64, for_at_most: Duration) -> Kept {
        let weight = |key: &Key, entry: &Entry| {
            u32::try_from(key.question.len() + entry.body.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Kept(Cache::builder().max_capacity(bytes).weigher(weight).time_to_live(for_at_most).build())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Entry> {
        self.0.get(key)
    }

    pub(super) fn keep(&self, key: Key, entry: Entry) {
        if entry.body.len() <= ENTRY_BYTES {
            self.0.insert(key, entry);
        }
    }

    /// Bytes and number of entries, about.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.0.weighted_size(), self.0.entry_count())
    }
}
