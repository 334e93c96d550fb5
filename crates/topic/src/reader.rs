//! Reading the topic: as a member of a group, or as a viewer of its end.

use crate::{Header, TopicId};
use async_trait::async_trait;
use bytes::Bytes;

/// A record as it lies in its partition.
#[derive(Debug, Clone)]
pub struct Record {
    /// Place in the partition.
    pub offset: i64,
    /// When it was appended, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Organisation of the event.
    pub key: Bytes,
    /// The event in its wire form.
    pub payload: Bytes,
    /// Trace context and the like.
    pub headers: Vec<Header>,
}

/// Records of one partition, offsets rising. A gap between offsets is control records or compaction when it lies at
/// or above `log_start`, and loss by retention below it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Partition they come from.
    pub partition: i32,
    /// The first offset the partition still held when they were read.
    pub log_start: i64,
    /// The records; none when retention deleted all that was left to read, and only `log_start` is news.
    pub records: Vec<Record>,
}

/// A partition that this reader owns from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Which topic: positions are stored for this identity.
    pub topic: TopicId,
    /// Which partition.
    pub partition: i32,
    /// First offset that the partition holds.
    pub log_start: i64,
    /// Offset that the next record will get.
    pub end: i64,
}

/// A partition was to start beyond its end: the topic has lost records that it had acknowledged, as after an unclean
/// election of a leader, and gives their offsets to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// Which partition. Nothing of it is delivered before it is started elsewhere.
    pub partition: i32,
    /// Where it was to start.
    pub offset: i64,
    /// First offset that the partition held, looked up after it was to start.
    pub log_start: i64,
    /// Offset that its next record would get, looked up after it was to start.
    pub end: i64,
}

/// Partitions that another reader is about to own. It gets them when this value is dropped: finish or give up the
/// work in hand first.
pub struct Revocation {
    /// The partitions to let go.
    pub partitions: Vec<i32>,
    /// Runs when the value is dropped.
    pub released: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Revocation {
    fn drop(&mut self) {
        if let Some(released) = self.released.take() {
            released();
        }
    }
}

impl std::fmt::Debug for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocation").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

/// What a reader has to say.
#[derive(Debug)]
pub enum Event {
    /// Partitions came to this reader; each delivers nothing until [`Reader::start`] says where to begin.
    Assigned(Vec<Assignment>),
    /// Partitions leave this reader; none of their records follows.
    Revoked(Revocation),
    /// Records of a started partition.
    Records(Batch),
    /// A partition that cannot start where it was told to.
    Truncated(Truncation),
}

/// The topic cannot be read now; the reader goes on by itself when asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the topic cannot be read: {0}")]
pub struct ReadError(pub String);

/// A member of a group of readers. Dropping it leaves the group.
#[async_trait]
pub trait Reader: Send + 'static {
    /// Waits for the next event. Safe to drop and call again: nothing is lost.
    ///
    /// # Errors
    /// [`ReadError`] when the topic cannot be read; call again after a pause.
    async fn next(&mut self) -> Result<Event, ReadError>;

    /// Delivers an assigned partition from `offset` on; the first record follows at `log_start` when that is higher.
    /// Also moves a partition already started.
    ///
    /// An offset beyond the end is never moved to one that is there: nothing of the partition is delivered, and
    /// [`Event::Truncated`] tells so, once. A partition that loses its end while it is read is revoked and assigned
    /// anew, so that its owner starts it again and hears of it.
    fn start(&mut self, partition: i32, offset: i64);

    /// Delivers nothing of the partition until [`Reader::resume`]; what [`Reader::next`] has not answered yet is kept.
    fn pause(&mut self, partition: i32);

    /// Ends a pause.
    fn resume(&mut self, partition: i32);

    /// Tells the group that everything below `next_offset` is stored. Only for tools that show lag and for retention:
    /// where to begin after a restart is the store's to say.
    fn commit(&mut self, partition: i32, next_offset: i64);
}

/// Ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// Which topic.
    pub topic: TopicId,
    /// Which partition.
    pub partition: i32,
    /// First offset that the partition holds.
    pub log_start: i64,
    /// Offset that the next record will get.
    pub end: i64,
}

/// Looks at the topic without taking part in a group: for lag, for the ledger, for live tail.
#[async_trait]
pub trait Viewer: Send + Sync + 'static {
    /// The ends of all partitions, by number.
    ///
    /// # Errors
    /// [`ReadError`] when the topic cannot be read.
    async fn offsets(&self) -> Result<Vec<PartitionOffsets>, ReadError>;

    /// A reader of all partitions, in a group of its own; start it at [`Assignment::end`] to see what comes from now on.
    fn tail(&self) -> Box<dyn Reader>;
}
