//! What waits for the writer thread: batches of records, bounded in bytes and in number, and chores.

use super::database::Database;
use super::lock;
use crate::{AppendError, NewRecord};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes of records that one transaction takes at most: more would only make those behind it wait longer.
const GROUP_BYTES: u64 = 8 << 20;
const RETRY_AFTER: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(5);
/// A transaction that takes longer says that the disk does not answer.
const STALLED: Duration = Duration::from_secs(10);

/// Records of one call of append.
pub(super) struct Job {
    /// Each with its partition.
    pub(super) records: Vec<(usize, NewRecord)>,
    /// Bytes that they will have in the database at most.
    pub(super) bytes: u64,
    pub(super) answer: oneshot::Sender<Result<(), AppendError>>,
}

/// Work on the database that is not an append, done between two transactions.
pub(super) type Chore = Box<dyn FnOnce(&mut Database) + Send>;

/// What the writer thread does next.
pub(super) struct Work {
    pub(super) chores: Vec<Chore>,
    pub(super) jobs: Vec<Job>,
}

/// What the queue holds at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes that were not answered yet.
    pub(super) queue_bytes: u64,
    /// Records that were not answered yet.
    pub(super) queue_records: usize,
    /// Bytes in the database and in the queue together.
    pub(super) topic_bytes: u64,
}

/// Bytes and records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) bytes: u64,
    pub(super) records: usize,
}

/// The queue, and what is known of the writer thread's health.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    chores: Vec<Chore>,
    /// Accepted and not answered: waiting or being written.
    unanswered: Load,
    /// Bytes of records in the database.
    stored_bytes: u64,
    writing_since: Option<Instant>,
    last_write: Duration,
    failure: Option<String>,
    closed: bool,
}

impl Queue {
    /// An empty queue in front of a database that holds `stored_bytes`.
    pub(super) fn new(limits: Limits, stored_bytes: u64) -> Queue {
        let state = State {
            jobs: VecDeque::new(),
            chores: Vec::new(),
            unanswered: Load::default(),
            stored_bytes,
            writing_since: None,
            last_write: Duration::ZERO,
            failure: None,
            closed: false,
        };
        Queue { limits, state: Mutex::new(state), work: Condvar::new() }
    }

    /// Accepts a job or says at once why not.
    pub(super) fn push(&self, job: Job) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        state.check_open()?;
        state.check_room_in_topic(self.limits.topic_bytes, job.bytes)?;
        let Load { bytes, records } = state.unanswered;
        let fits = bytes + job.bytes <= self.limits.queue_bytes
            && records + job.records.len() <= self.limits.queue_records;
        // A batch larger than the queue is taken when nothing else waits: it would never fit otherwise.
        if !fits && records > 0 {
            return Err(AppendError::QueueFull { retry_after: state.retry_after() });
        }
        state.unanswered.bytes += job.bytes;
        state.unanswered.records += job.records.len();
        state.jobs.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Accepts a chore.
    pub(super) fn push_chore(&self, chore: Chore) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        state.check_open()?;
        state.chores.push(chore);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Waits for work. Nothing when the queue was closed and all of it is done.
    pub(super) fn take(&self) -> Option<Work> {
        let state = lock(&self.state);
        let idle = |state: &mut State| state.jobs.is_empty() && state.chores.is_empty() && !state.closed;
        let mut state = self.work.wait_while(state, idle).unwrap_or_else(std::sync::PoisonError::into_inner);
        let chores = std::mem::take(&mut state.chores);
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while let Some(job) = state.jobs.pop_front_if(|job| bytes == 0 || bytes + job.bytes <= GROUP_BYTES) {
            bytes += job.bytes;
            jobs.push(job);
        }
        if chores.is_empty() && jobs.is_empty() {
            return None;
        }
        state.writing_since = Some(Instant::now());
        Some(Work { chores, jobs })
    }

    /// Records the outcome of a transaction: `answered` leaves the queue, the bytes written are in the database now.
    pub(super) fn written(&self, answered: Load, written: &Result<u64, String>) {
        let mut state = lock(&self.state);
        state.unanswered.bytes -= answered.bytes;
        state.unanswered.records -= answered.records;
        state.last_write = state.writing_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        match written {
            Ok(bytes) => {
                state.stored_bytes += bytes;
                state.failure = None;
            }
            Err(detail) => state.failure = Some(detail.clone()),
        }
    }

    /// Records that chores are done.
    pub(super) fn chores_done(&self) {
        lock(&self.state).writing_since = None;
    }

    /// Records that bytes left the database.
    pub(super) fn freed(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.stored_bytes = state.stored_bytes.saturating_sub(bytes);
    }

    /// Records that a probe could be written.
    pub(super) fn probed(&self) {
        lock(&self.state).failure = None;
    }

    /// Whether a record would be accepted now, and whether the last transaction failed.
    pub(super) fn health(&self, now: Instant) -> Result<Option<String>, AppendError> {
        let state = lock(&self.state);
        state.check_open()?;
        state.check_room_in_topic(self.limits.topic_bytes, 1)?;
        if state.unanswered.bytes >= self.limits.queue_bytes
            || state.unanswered.records >= self.limits.queue_records
        {
            return Err(AppendError::QueueFull { retry_after: state.retry_after() });
        }
        match state.writing_since.map(|since| now.saturating_duration_since(since)) {
            Some(waited) if waited > STALLED => {
                Err(AppendError::Unavailable(format!("the disk has not answered for {} s", waited.as_secs())))
            }
            _ => Ok(state.failure.clone()),
        }
    }

    /// Accepts nothing more. What was accepted is still written.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_all();
    }

    /// Closes and drops what waits, which answers it; for a writer thread that ends before its time.
    pub(super) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let waiting = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.chores));
        drop(state);
        drop(waiting);
    }
}

impl State {
    fn check_open(&self) -> Result<(), AppendError> {
        match self.closed {
            true => Err(AppendError::Unavailable("it is closed".into())),
            false => Ok(()),
        }
    }

    fn check_room_in_topic(&self, limit: u64, bytes: u64) -> Result<(), AppendError> {
        let used = self.stored_bytes + self.unanswered.bytes;
        match used + bytes > limit {
            true => Err(AppendError::TopicFull { used, limit }),
            false => Ok(()),
        }
    }

    /// The time that what waits will take, if it goes on as now.
    fn retry_after(&self) -> Duration {
        let groups = u32::try_from(self.unanswered.bytes / GROUP_BYTES + 1).unwrap_or(u32::MAX);
        let (least, most) = (*RETRY_AFTER.start(), *RETRY_AFTER.end());
        self.last_write.checked_mul(groups).unwrap_or(most).clamp(least, most)
    }
}
