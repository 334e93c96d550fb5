//! The consumer's side of the store.

use crate::Position;
use async_trait::async_trait;
use bytes::Bytes;
use record::{LogRecord, Timestamp, Uuid};
use std::time::Duration;

/// A partition of a topic, as long as its offsets mean the same records: what positions and the ledger are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// Identity of the topic; a topic made anew has another.
    pub topic: Uuid,
    /// Which partition.
    pub partition: i32,
    /// How often the partition lost its end, and used offsets again that had been stored: 0 unless an unclean election
    /// of a leader ever happened. See [`Sink::begin_epoch`].
    pub epoch: i32,
}

/// What one transaction stores: everything that became of the offsets from `expected` up to `next`.
///
/// `next - expected = rows + letters + skipped + lost`.
#[derive(Debug, Clone)]
pub struct Flush {
    /// Which partition the offsets belong to.
    pub of: PartitionKey,
    /// Position that the store must still have.
    pub expected: i64,
    /// Position afterwards.
    pub next: i64,
    /// Events to store, in the order of the partition.
    pub rows: Vec<LogRecord>,
    /// Records that could not be stored; they are kept and tried again.
    pub letters: Vec<NewLetter>,
    /// Offsets that held no record.
    pub skipped: i64,
    /// Offsets that were deleted before they were read.
    pub lost: i64,
}

/// A record that could not be stored, as it came from the topic.
#[derive(Debug, Clone)]
pub struct NewLetter {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its key: an organisation's name, if it is one.
    pub key: Bytes,
    /// Its bytes, whatever they are.
    pub payload: Bytes,
    /// When it was appended to the topic, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `traceparent` header, if it had one.
    pub traceparent: Option<String>,
    /// Why it could not be stored.
    pub refusal: Refusal,
    /// When to try again.
    pub retry_at: Timestamp,
}

/// Why a record cannot be stored, whenever it is tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// For people, one line.
    pub reason: String,
    /// The five characters of PostgreSQL's error code, when it was the server that refused.
    pub sqlstate: Option<String>,
}

impl From<String> for Refusal {
    /// A refusal of ours, not of the server.
    fn from(reason: String) -> Refusal {
        Refusal { reason, sqlstate: None }
    }
}

/// Names a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LetterId(pub i64);

/// A record waiting to be tried again.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// Partition it came from.
    pub of: PartitionKey,
    /// Offset it came from.
    pub offset: i64,
    /// Its bytes.
    pub payload: Bytes,
    /// How often storing it was tried, at least 1.
    pub attempts: u32,
}

/// What a retry came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It became a row after all: the ledger moves it from `dead_lettered` to `stored`.
    Stored(Box<LogRecord>),
    /// Try again later.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it failed this time.
        refusal: Refusal,
    },
    /// Given up: it stays a dead letter.
    Dead {
        /// Why it failed the last time.
        refusal: Refusal,
    },
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Rows that repeat an event stored before, and brought no row: their client did not hear our answer.
    pub duplicates: usize,
}

/// Why a flush or a settlement changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The position is not the expected one: another consumer owns the partition now. Let go of it.
    #[error("the position of partition {} is {found}, not {expected}: another consumer owns it", of.partition)]
    Moved {
        /// Which partition.
        of: PartitionKey,
        /// Position the flush expected.
        expected: i64,
        /// Position that the store has in this epoch; -1 when it has none, or not any more.
        found: i64,
    },
    /// The store refuses the data itself; trying the same again cannot help, trying parts of it can.
    #[error("the store refuses the data: {0}")]
    Refused(Refusal),
    /// The store cannot be written to now; nothing is wrong with the data.
    #[error("the store is unavailable: {0}")]
    Outage(String),
}

/// The store cannot be asked now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store is unavailable: {0}")]
pub struct SinkError(pub String);

/// Where the consumer writes; shared by all partitions of a process.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Positions of partitions just assigned, in the order asked, each in its newest epoch whatever the one asked with.
    /// One that the store does not know begins at the offset given with it, which the ledger keeps as its start.
    ///
    /// # Errors
    /// [`SinkError`] in an outage; ask again later.
    async fn positions(&self, assigned: &[Position]) -> Result<Vec<Position>, SinkError>;

    /// Stores the flush, whole or not at all; durable when answered.
    ///
    /// # Errors
    /// [`FlushError`]; nothing was stored. After [`FlushError::Outage`] the transaction may still have been
    /// committed (its answer was lost): flushing the same again then answers [`FlushError::Moved`], with `found` at
    /// this flush's `next`.
    async fn flush(&self, flush: Flush) -> Result<Flushed, FlushError>;

    /// Begins the next epoch of a partition that has lost its end, and with it records that were stored: it holds
    /// `log_start` to `end` now, and somewhere before `end` its offsets began to be those of other records. The ledger
    /// keeps the row of the epoch before as it is, and gets a new one; a consumer that still works for the epoch before
    /// finds its position moved. The new epoch begins before `end`, as far back as the store can still tell events that
    /// it has: they are counted as repetitions, and none of the others is passed over.
    ///
    /// # Errors
    /// [`FlushError::Moved`] when `stored` is not the position any more: another consumer was faster. Also after an
    /// answer that was lost; ask for the position again. [`FlushError::Outage`].
    async fn begin_epoch(&self, stored: Position, log_start: i64, end: i64) -> Result<Position, FlushError>;

    /// Letters whose time to be tried again has come, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`SinkError`] in an outage.
    async fn due_letters(&self, now: Timestamp, limit: usize) -> Result<Vec<Letter>, SinkError>;

    /// How long until the next letter is due; `None` when none waits.
    ///
    /// # Errors
    /// [`SinkError`] in an outage.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Duration>, SinkError>;

    /// Records what a retry came to, if the letter still waits with the same number of attempts; otherwise another
    /// consumer settled it, and nothing changes. Answers whether it changed. An event that was stored before brings no
    /// row, as in a flush.
    ///
    /// # Errors
    /// [`FlushError::Refused`] when the store refuses the row of [`Outcome::Stored`], [`FlushError::Outage`].
    async fn settle(&self, letter: &Letter, outcome: Outcome) -> Result<bool, FlushError>;

    /// Whether the store answers; for readiness.
    ///
    /// # Errors
    /// [`SinkError`] when it does not.
    async fn ready(&self) -> Result<(), SinkError>;
}
