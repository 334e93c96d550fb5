//! The side of the store from which dead letters go to the topic that is for them.

use crate::{LetterId, PartitionKey, Refusal, SinkError};
use async_trait::async_trait;
use bytes::Bytes;

/// A record that was given up, as it came from the topic, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: LetterId,
    /// Partition it came from.
    pub of: PartitionKey,
    /// Offset it came from.
    pub offset: i64,
    /// Its key: an organisation's name, if it is one.
    pub key: Bytes,
    /// Its bytes, whatever they are.
    pub payload: Bytes,
    /// When it was appended to the topic, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `traceparent` header, if it had one.
    pub traceparent: Option<String>,
    /// Why it could not be stored the last time.
    pub refusal: Refusal,
    /// How often storing it was tried.
    pub attempts: u32,
}

/// Dead letters that are published together: all of them, under this number, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Rises from one publication to the next; durable before anybody sees it.
    pub number: i64,
    /// The letters, in the order in which they were set aside. Never empty.
    pub letters: Vec<DeadLetter>,
}

/// Where the relay of dead letters reads; shared by all relays of a pipeline.
///
/// There is one open publication at a time. Whoever asks gets the same until it is marked as published, so a relay that
/// ends between publishing and marking leaves no doubt about **what** may have been published: its successor finds
/// the same number with the same letters. **Whether** it was published, only the topic knows. A relay that writes the
/// letters in one transaction of Kafka, each with the number in a header, makes it exact:
///
/// 1. begin as a transactional producer with one id for all relays of the pipeline, which shuts out the one before;
/// 2. ask for the publication, and read the newest committed record of the dead-letter topic;
/// 3. publish in a transaction unless that record has this number already; then mark.
///
/// Without transactions, a relay publishes at least once, and readers tell repetitions by partition and offset.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The open publication; if there is none, a new one of the oldest dead letters that never were in one, at most
    /// `limit`. `None` when there are no such letters.
    ///
    /// # Errors
    /// [`SinkError`] in an outage.
    async fn publication(&self, limit: usize) -> Result<Option<Publication>, SinkError>;

    /// Marks a publication as published. Answers whether it was open: marking twice changes nothing.
    ///
    /// # Errors
    /// [`SinkError`] in an outage; mark again later.
    async fn published(&self, number: i64) -> Result<bool, SinkError>;
}
