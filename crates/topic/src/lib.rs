//! The log between producer and consumer: partitions of records, kept in order, read from any offset.
//!
//! One seam, [`Writer`], [`Reader`] and [`Viewer`], with Kafka's words and Kafka's guarantees; [`embedded`] implements
//! it on one SQLite file for a pipeline on a single machine, `kafka` (a feature of this crate) on Apache Kafka. What the
//! seam promises, whatever stands behind it:
//!
//! - a record whose append was answered with success is durable: it survives the end of the process at any moment;
//! - offsets of a partition are given in the order of appends; a key's records stay in one partition;
//! - readers of one group never own a partition together: the next owner starts after the last one let go.

pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
mod partitioner;
mod reader;
mod writer;

pub use partitioner::partition_of;
pub use reader::{
    Assignment, Batch, Event, PartitionOffsets, ReadError, Reader, Record, Revocation, Truncation, Viewer,
};
pub use writer::{AppendError, Failure, NewRecord, Writer};

/// Identity of a topic, as Kafka's topic id: a topic deleted and made anew is another one, so that positions stored
/// for the old one are never applied to the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub uuid::Uuid);

impl std::fmt::Display for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A header of a record: name and value.
pub type Header = (String, bytes::Bytes);
