//! Appending to the topic.

use crate::Header;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// A record to append. Its key decides its partition, see [`crate::partition_of`].
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Organisation of the event.
    pub key: Bytes,
    /// The event in its wire form.
    pub payload: Bytes,
    /// Trace context and the like; mostly empty.
    pub headers: Vec<Header>,
}

impl NewRecord {
    /// Bytes of key, payload and headers.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.payload.len() + headers
    }
}

/// Why a record is not in the topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More is waiting to be written than the writer holds. Nothing of the batch was written.
    #[error("the queue in front of the topic is full")]
    QueueFull {
        /// When trying again is likely to succeed.
        retry_after: Duration,
    },
    /// The topic holds as many bytes as it may until the consumer has caught up.
    #[error("the topic is full: {used} of {limit} bytes wait to be stored")]
    TopicFull {
        /// Bytes in the topic.
        used: u64,
        /// Bytes it may hold.
        limit: u64,
    },
    /// The topic cannot be written to now, or did not acknowledge in time: the record may or may not be there.
    #[error("the topic is unavailable: {0}")]
    Unavailable(String),
    /// The record itself can never be appended.
    #[error("the record is too large: {size} bytes of at most {limit}")]
    TooLarge {
        /// Bytes of key, payload and headers.
        size: usize,
        /// Bytes a record may have.
        limit: usize,
    },
}

impl AppendError {
    /// Whether the same record may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, AppendError::TooLarge { .. })
    }
}

/// A record of a batch that was not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub error: AppendError,
}

/// Appends records; shared by all requests of a process.
#[async_trait]
pub trait Writer: Send + Sync + 'static {
    /// Appends the records and waits until they are durable. Answers the ones that are not in the topic, in the order
    /// of the batch; an empty answer says that all are. Records of one key keep the order of the batch.
    ///
    /// Bounded: answers [`AppendError::QueueFull`] at once rather than wait for room. Dropping the future does not
    /// take the records back.
    async fn append(&self, records: Vec<NewRecord>) -> Vec<Failure>;

    /// Whether the topic can be written to now; for readiness.
    ///
    /// # Errors
    /// Why it cannot.
    async fn ready(&self) -> Result<(), AppendError>;
}
