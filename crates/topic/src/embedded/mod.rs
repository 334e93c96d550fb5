//! The topic on one SQLite file, for a pipeline in one process.
//!
//! ```text
//! append ─▶ queue (bounded) ─▶ writer thread: pack, one transaction, one fsync ─▶ answers
//!                                        ╰▶ recent batches in memory, new ends ─▶ readers wake
//! readers: from memory when they keep up, else from the file, each by a connection of its own
//! ```
//! A group commit takes all that waits, so that the more requests there are the fewer transactions each needs. The
//! file is in WAL mode with `synchronous = FULL`: what was answered survives a power failure.

mod blob;
mod coordinator;
mod cursors;
mod database;
mod fetch;
mod group;
mod pack;
mod queue;
mod reader;
mod recent;
mod shared;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

use crate::{Reader, TopicId, Viewer, Writer};
use database::Database;
use queue::{Limits, Queue};
use reader::{GroupReader, TopicViewer};
use shared::Shared;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Bytes of batches that one step of trimming deletes, so that appends wait for little.
const TRIM_STEP_BYTES: u64 = 32 << 20;
/// Free pages that the file keeps for what comes, and how many one trim gives back beyond them.
const SPARE_BYTES: u64 = 64 << 20;
const SHRINK_STEP_BYTES: u64 = 16 << 20;
/// What a configuration may ask for at most.
const MOST_PARTITIONS: u32 = 1024;
const MOST_RECORD_BYTES: usize = 256 << 20;

/// Limits of an embedded topic.
#[derive(Debug, Clone)]
pub struct Config {
    /// Partitions, 1 to 1024. May grow from one opening to the next, never shrink.
    pub partitions: u32,
    /// Bytes of records that the topic holds; appends are refused beyond.
    pub max_bytes: u64,
    /// Bytes of records that wait to be written.
    pub queue_bytes: u64,
    /// Records that wait to be written.
    pub queue_records: usize,
    /// Bytes of key, payload and headers of one record; 256 MiB at most, whatever is asked for.
    pub max_record_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            partitions: 6,
            max_bytes: 8 << 30,
            queue_bytes: 64 << 20,
            queue_records: 200_000,
            max_record_bytes: 1 << 20,
        }
    }
}

/// Why a topic cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open, or this one has.
    #[error("data directory in use by another logpipeline: {} is locked", .0.display())]
    InUse(PathBuf),
    /// Records are in partitions that would not be there.
    #[error("the topic has {stored} partitions and cannot shrink to {asked}")]
    FewerPartitions {
        /// Partitions in the file.
        stored: u32,
        /// Partitions in the configuration.
        asked: u32,
    },
    /// The configuration is out of bounds.
    #[error("a topic has 1 to {MOST_PARTITIONS} partitions, not {0}")]
    PartitionCount(u32),
    /// Another program's file, or one of a version that this program does not know.
    #[error("{} is not a topic that this version can read", .0.display())]
    NotATopic(PathBuf),
    /// The lock file cannot be used.
    #[error("cannot lock {}: {error}", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: std::io::Error,
    },
    /// The writer thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The file cannot be opened, read or written.
    #[error("cannot open the topic: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Why a partition was not trimmed. What was trimmed before the error stays trimmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the topic cannot be trimmed: {0}")]
pub struct TrimError(pub String);

/// A topic on one SQLite file. Dropping it without [`Topic::close`] still writes what was accepted, later.
pub struct Topic {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    config: Config,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Topic {
    /// Opens the topic at `path`, made when it is not there, and locks `<path>.lock`. Blocks while it recovers what an
    /// earlier process left.
    ///
    /// # Errors
    /// [`OpenError`]; the directory has to be there.
    pub fn open(path: &Path, config: Config) -> Result<Topic, OpenError> {
        if !(1..=MOST_PARTITIONS).contains(&config.partitions) {
            return Err(OpenError::PartitionCount(config.partitions));
        }
        let lock = lock_file(path)?;
        let (database, contents) = Database::open(path, config.partitions, now_ms())?;
        let limits = Limits {
            queue_bytes: config.queue_bytes,
            queue_records: config.queue_records,
            topic_bytes: config.max_bytes,
        };
        let queue = Arc::new(Queue::new(limits, contents.bytes));
        let shared = Arc::new(Shared::new(path.to_owned(), contents));
        let writer = thread::WriterThread { database, queue: queue.clone(), shared: shared.clone(), lock };
        let thread = std::thread::Builder::new().name("topic-writer".into());
        let thread = Some(thread.spawn(move || writer.run()).map_err(OpenError::Thread)?);
        Ok(Topic { shared, queue, config, thread })
    }

    /// Which topic this is.
    pub fn id(&self) -> TopicId {
        self.shared.topic
    }

    /// A writer; all share one queue.
    pub fn writer(&self) -> Arc<dyn Writer> {
        Arc::new(writer::QueueWriter {
            queue: self.queue.clone(),
            partitions: self.config.partitions,
            max_record_bytes: self.config.max_record_bytes.min(MOST_RECORD_BYTES),
        })
    }

    /// Joins a group of readers. Other members let partitions go only as their readers are asked for events, and so
    /// does this one: a reader that nobody asks keeps what it was told it has.
    pub fn subscribe(&self, group: &str) -> Box<dyn Reader> {
        Box::new(GroupReader::join(&self.shared, &self.shared.group(group)))
    }

    /// A viewer of the ends of the partitions.
    pub fn viewer(&self) -> Arc<dyn Viewer> {
        Arc::new(TopicViewer { shared: self.shared.clone() })
    }

    /// What the members of a group have committed since the topic was opened: partition and next offset.
    pub fn committed(&self, group: &str) -> Vec<(i32, i64)> {
        self.shared.group(group).committed()
    }

    /// Deletes records below an offset, whole batches only, and answers the first offset that the partition holds now.
    /// Room for new records, and space beyond 64 MiB goes back to the file system.
    ///
    /// # Errors
    /// [`TrimError`] when the partition is not there, the file cannot be written, or the topic is closed.
    pub async fn trim(&self, partition: i32, below_offset: i64) -> Result<i64, TrimError> {
        loop {
            let (answer, answered) = oneshot::channel();
            let (shared, queue) = (self.shared.clone(), self.queue.clone());
            let step = move |database: &mut Database| {
                let trimmed = database.trim(partition, below_offset, TRIM_STEP_BYTES);
                if let Ok(trimmed) = &trimmed {
                    shared.trimmed(partition, trimmed.log_start);
                    queue.freed(trimmed.freed_bytes);
                }
                let shrunk = database.shrink(SPARE_BYTES, SHRINK_STEP_BYTES);
                answer.send(trimmed.and_then(|trimmed| shrunk.map(|()| trimmed))).ok();
            };
            self.queue.push_chore(Box::new(step)).map_err(|error| TrimError(error.to_string()))?;
            let trimmed = answered.await.map_err(|_| TrimError("its writer has stopped".into()))?;
            let trimmed = trimmed.map_err(|error| TrimError(error.to_string()))?;
            if !trimmed.more {
                return Ok(trimmed.log_start);
            }
        }
    }

    /// Accepts nothing more, writes what was accepted, moves the write-ahead log into the file and unlocks it.
    pub async fn close(mut self) {
        self.queue.close();
        let Some(thread) = self.thread.take() else { return };
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => tracing::error!("the topic's writer thread has panicked"),
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn lock_file(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let opened = File::options().create(true).write(true).truncate(false).open(&name);
    let file = opened.map_err(|error| OpenError::Lock { path: name.clone(), error })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(name)),
        Err(TryLockError::Error(error)) => Err(OpenError::Lock { path: name, error }),
    }
}

/// What a thread that panicked left behind a lock is still consistent: every change under one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970 by the system's clock.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
