//! The ledger: what became of every offset of a partition.

use crate::PartitionKey;
use serde::Serialize;

/// How far a partition is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which partition of which topic.
    pub of: PartitionKey,
    /// First offset that is not accounted for yet: where to begin reading.
    pub next: i64,
}

/// What became of the offsets of one partition. Always true, in every committed state of the store:
/// `next - start = stored + dead_lettered + skipped + lost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRow {
    /// Identity of the topic.
    #[serde(rename = "topicId")]
    pub topic: uuid::Uuid,
    /// Which partition.
    pub partition: i32,
    /// How often the partition lost its end; see [`PartitionKey::epoch`]. Each epoch has a row.
    pub epoch: i32,
    /// Offset at which this pipeline, or this epoch, began.
    #[serde(rename = "startOffset")]
    pub start: i64,
    /// First offset not accounted for yet.
    #[serde(rename = "nextOffset")]
    pub next: i64,
    /// Records that became rows, repetitions among them.
    pub stored: i64,
    /// Of `stored`: repetitions of an event, which brought no row.
    pub duplicates: i64,
    /// Records that became dead letters, those still being retried among them.
    pub dead_lettered: i64,
    /// Of `dead_lettered`: still being retried.
    pub retrying: i64,
    /// Offsets without a record of ours: control records, compaction.
    pub skipped: i64,
    /// Offsets that the topic's retention deleted before they were read.
    pub lost: i64,
}

/// How a letter ended, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It became a row after all.
    Row,
    /// It repeats an event stored before, and brought no row.
    Repetition,
    /// It stays a dead letter.
    GivenUp,
}

impl Ended {
    /// What it adds to `stored`, taken from `dead_lettered`, and to `duplicates`.
    pub(crate) fn counts(self) -> (i64, i64) {
        match self {
            Ended::Row => (1, 0),
            Ended::Repetition => (1, 1),
            Ended::GivenUp => (0, 0),
        }
    }
}

impl LedgerRow {
    /// Whether the row adds up.
    pub fn is_balanced(&self) -> bool {
        self.next - self.start == self.stored + self.dead_lettered + self.skipped + self.lost
            && self.retrying <= self.dead_lettered
            && self.duplicates <= self.stored
            && [self.stored, self.duplicates, self.dead_lettered, self.retrying, self.skipped, self.lost]
                .iter()
                .all(|n| *n >= 0)
    }
}
