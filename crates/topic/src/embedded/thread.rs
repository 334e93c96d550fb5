//! The writer thread: takes what is queued, writes it in one transaction, answers.

use super::database::Database;
use super::now_ms;
use super::pack::{Packed, pack};
use super::queue::{Job, Load, Queue};
use super::shared::Shared;
use crate::AppendError;
use std::fs::File;
use std::sync::Arc;

/// What the writer thread owns.
pub(super) struct WriterThread {
    pub(super) database: Database,
    pub(super) queue: Arc<Queue>,
    pub(super) shared: Arc<Shared>,
    /// Locks the data directory until the thread has ended.
    pub(super) lock: File,
}

/// Nobody may wait for a thread that is gone.
struct AbandonQueue(Arc<Queue>, Arc<Shared>);

impl Drop for AbandonQueue {
    fn drop(&mut self) {
        self.0.abandon();
        self.1.published.send_modify(|published| published.closed = true);
    }
}

impl WriterThread {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _abandon = AbandonQueue(self.queue.clone(), self.shared.clone());
        let mut failing = false;
        while let Some(work) = self.queue.take() {
            for chore in work.chores {
                chore(&mut self.database);
            }
            match work.jobs.is_empty() {
                true => self.queue.chores_done(),
                false => self.write(work.jobs, &mut failing),
            }
        }
        if let Err(error) = self.database.checkpoint() {
            tracing::warn!(%error, "the write-ahead log stays; it is read when the topic is opened again");
        }
        drop(self.database);
        drop(self.lock);
    }

    fn write(&mut self, jobs: Vec<Job>, failing: &mut bool) {
        let answered = Load {
            bytes: jobs.iter().map(|job| job.bytes).sum(),
            records: jobs.iter().map(|job| job.records.len()).sum(),
        };
        let now_ms = now_ms();
        let Packed { batches, waiters } = pack(jobs, &self.shared.extents(), now_ms);
        let written = self.database.append(&batches, now_ms);
        let outcome = match &written {
            Ok(()) => Ok(batches.iter().map(|batch| u64::try_from(batch.blob.len()).unwrap_or(0)).sum()),
            Err(error) => Err(error.to_string()),
        };
        if outcome.is_ok() {
            self.shared.publish(batches);
        }
        log_change(failing, &outcome);
        self.queue.written(answered, &outcome);
        for waiter in waiters {
            // A caller that does not wait any more is fine.
            waiter.send(outcome.clone().map(|_| ()).map_err(AppendError::Unavailable)).ok();
        }
    }
}

/// One line when writing begins to fail, one when it works again.
fn log_change(failing: &mut bool, outcome: &Result<u64, String>) {
    match outcome {
        Err(error) if !*failing => tracing::error!(%error, "the topic cannot be written to"),
        Ok(_) if *failing => tracing::info!("the topic can be written to again"),
        _ => {}
    }
    *failing = outcome.is_err();
}
