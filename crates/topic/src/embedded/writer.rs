//! The writer that requests share: sorts records to partitions, queues them, and waits for the answer.

use super::blob;
use super::queue::{Job, Queue};
use crate::{AppendError, Failure, NewRecord, Writer, partition_of};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// After this the caller hears that nobody knows; the disk does not answer.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// As much as a large batch.
const PROBE_BYTES: u32 = 1 << 20;
const PROBED_WITHIN: Duration = Duration::from_secs(5);

/// Puts records into the queue of the writer thread.
pub(super) struct QueueWriter {
    pub(super) queue: Arc<Queue>,
    pub(super) partitions: u32,
    pub(super) max_record_bytes: usize,
}

impl QueueWriter {
    async fn append_all(&self, records: Vec<(usize, NewRecord)>, bytes: u64) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Job { records, bytes, answer })?;
        match timeout(ACKNOWLEDGED_WITHIN, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(AppendError::Unavailable("its writer has stopped".into())),
            Err(_) => Err(AppendError::Unavailable(format!(
                "no acknowledgement within {} s",
                ACKNOWLEDGED_WITHIN.as_secs()
            ))),
        }
    }

    fn refuse(&self, record: &NewRecord) -> Option<AppendError> {
        let size = record.size();
        let limit = self.max_record_bytes;
        (size > limit).then_some(AppendError::TooLarge { size, limit })
    }

    fn partition(&self, record: &NewRecord) -> usize {
        usize::try_from(partition_of(&record.key, self.partitions)).expect("partitions are not negative")
    }
}

#[async_trait]
impl Writer for QueueWriter {
    async fn append(&self, records: Vec<NewRecord>) -> Vec<Failure> {
        let count = records.len();
        let mut refused = Vec::new();
        let mut accepted = Vec::with_capacity(count);
        let mut bytes = 0;
        for (index, record) in records.into_iter().enumerate() {
            if let Some(error) = self.refuse(&record) {
                refused.push(Failure { index, error });
                continue;
            }
            bytes += blob::HEADER_BYTES + blob::frame_bytes(&record);
            accepted.push((self.partition(&record), record));
        }
        if accepted.is_empty() {
            return refused;
        }
        match self.append_all(accepted, u64::try_from(bytes).unwrap_or(u64::MAX)).await {
            Ok(()) => refused,
            Err(error) => all_failed(count, refused, &error),
        }
    }

    async fn ready(&self) -> Result<(), AppendError> {
        let Some(failure) = self.queue.health(Instant::now())? else { return Ok(()) };
        // The last transaction failed: only the disk knows whether the next one would.
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.clone();
        self.queue.push_chore(Box::new(move |database| {
            let probed = database.probe(PROBE_BYTES);
            if probed.is_ok() {
                queue.probed();
            }
            answer.send(probed).ok();
        }))?;
        match timeout(PROBED_WITHIN, answered).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(AppendError::Unavailable(error.to_string())),
            Ok(Err(_)) | Err(_) => Err(AppendError::Unavailable(failure)),
        }
    }
}

/// Failures of a whole batch, in its order: what was refused keeps its own reason.
fn all_failed(count: usize, refused: Vec<Failure>, error: &AppendError) -> Vec<Failure> {
    let mut refused = refused.into_iter().peekable();
    (0..count)
        .map(|index| {
            let own = refused.next_if(|failure| failure.index == index);
            own.unwrap_or_else(|| Failure { index, error: error.clone() })
        })
        .collect()
}
