//! Connections that answer queries: a bounded number, each used by one query at a time.

use super::{failure, open};
use crate::QueryError;
use rusqlite::{Connection, Result};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Semaphore;

/// The pool of connections.
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    waiting: AtomicUsize,
    may_wait: usize,
}

/// Counts a query as waiting as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Readers {
    pub(super) fn new(path: &Path, readers: usize, may_wait: usize) -> Readers {
        Readers {
            path: path.to_owned(),
            permits: Arc::new(Semaphore::new(readers)),
            idle: Arc::default(),
            waiting: AtomicUsize::new(0),
            may_wait,
        }
    }

    /// Answers a question on a thread for blocking work, with a snapshot of the store.
    pub(super) async fn ask<T, F>(&self, question: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = {
            let before = self.waiting.fetch_add(1, Ordering::Relaxed);
            let _waiting = Waiting(&self.waiting);
            if before >= self.may_wait {
                return Err(QueryError::Busy);
            }
            Arc::clone(&self.permits).acquire_owned().await.expect("the pool is never closed")
        };
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let answering = tokio::task::spawn_blocking(move || {
            // Held until the answer is there, also when nobody waits for it any more.
            let _permit = permit;
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = known.map_or_else(|| open::reader(&path), Ok)?;
            let answer = in_snapshot(&connection, question)?;
            // After an error the connection is not used again: the next query opens a new one.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(answer)
        });
        match answering.await {
            Ok(answer) => answer.map_err(|error| failure::unavailable(&error)),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// All statements of one question see the same state of the store.
fn in_snapshot<T>(connection: &Connection, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    let answer = question(&snapshot)?;
    snapshot.commit()?;
    Ok(answer)
}
