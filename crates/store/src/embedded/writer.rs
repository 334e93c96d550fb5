//! The one thread that writes: takes all the work that waits, does it in one transaction, answers after the commit.

use super::{Config, failure::Failure, late, open, organizations::Organizations, retention};
use crate::LateNews;
use rusqlite::Connection;
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Pieces of work that wait; whoever brings more waits until there is room.
const WAITING: usize = 256;
/// Pieces of work that one transaction does: more would only make those behind it wait longer.
const GROUP: usize = 32;

/// What a piece of work may use.
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) organizations: &'a mut Organizations,
    pub(super) config: &'a Config,
    /// To be told when the transaction is committed.
    pub(super) late: &'a mut Vec<LateNews>,
}

/// A piece of work. Done in a savepoint: when it fails it leaves nothing behind.
trait Work: Send {
    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Failure>;
    /// Hears what became of it, after the commit.
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);
}

struct Task<T, F> {
    work: Option<F>,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Session<'_>) -> Result<T, Failure> + Send,
{
    fn run(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        let work = self.work.take().expect("work is run once");
        self.value = Some(work(session)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let Task { value, answer, .. } = *self;
        // A caller that does not wait any more is fine.
        let _ = answer.send(outcome.map(|()| value.expect("work that succeeded left its value")));
    }
}

/// The thread, from the side of those who bring work.
pub(super) struct Writer {
    work: Mutex<Option<mpsc::Sender<Box<dyn Work>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    late: broadcast::Sender<LateNews>,
}

impl Writer {
    /// Starts the thread; it holds the lock until it has ended.
    pub(super) fn start(
        path: &Path,
        connection: Connection,
        lock: File,
        config: Config,
    ) -> Result<Writer, open::OpenError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let late = late::channel();
        let thread = Thread {
            path: path.to_owned(),
            connection: Some(connection),
            organizations: Organizations::default(),
            config,
            failing: false,
            late: late.clone(),
        };
        let run = move || {
            thread.run(receiver);
            drop(lock);
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(run);
        let thread = thread.map_err(|error| open::OpenError::Unusable {
            path: path.to_owned(),
            reason: format!("cannot start a thread: {error}"),
        })?;
        Ok(Writer { work: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), late })
    }

    /// What is told of late events from now on.
    pub(super) fn late_events(&self) -> broadcast::Receiver<LateNews> {
        self.late.subscribe()
    }

    /// Brings a piece of work and waits until it is committed. It is done even when the caller stops waiting.
    pub(super) async fn submit<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let closed = || Failure::Outage("the store is closed".into());
        let sender = self.work.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let task = Task { work: Some(work), value: None, answer };
        sender.send(Box::new(task)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the thread after the work that waits.
    pub(super) async fn close(&self) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the store's writer thread has panicked");
        }
    }
}

struct Thread {
    path: PathBuf,
    /// None after a failure: opened again by the next transaction.
    connection: Option<Connection>,
    organizations: Organizations,
    config: Config,
    failing: bool,
    late: broadcast::Sender<LateNews>,
}

impl Thread {
    fn run(mut self, mut receiver: mpsc::Receiver<Box<dyn Work>>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Some(first) = receiver.blocking_recv() {
            group.push(first);
            while group.len() < GROUP
                && let Ok(more) = receiver.try_recv()
            {
                group.push(more);
            }
            let mut late = Vec::new();
            let outcomes = self.transaction(&mut group, &mut late);
            // Also when it failed: nobody knows what was committed then, and what is told in vain only costs a question.
            for news in late {
                let _ = self.late.send(news);
            }
            self.note(outcomes.as_ref().err());
            for (index, work) in group.drain(..).enumerate() {
                work.answer(match &outcomes {
                    Ok(outcomes) => outcomes[index].clone(),
                    Err(outage) => Err(outage.clone()),
                });
            }
            if outcomes.is_ok()
                && let Some(connection) = &mut self.connection
                && let Err(error) = retention::enforce(connection, &self.config)
            {
                tracing::warn!(%error, "old events cannot be deleted; trying again after the next transaction");
            }
        }
    }

    /// Does the work in one transaction. What a piece of work says of its own data concerns only itself; anything
    /// else ends the transaction for all.
    fn transaction(
        &mut self,
        group: &mut [Box<dyn Work>],
        late: &mut Vec<LateNews>,
    ) -> Result<Vec<Result<(), Failure>>, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::reopen(&self.path)?,
        };
        let (organizations, config) = (&mut self.organizations, &self.config);
        let mut session = Session { connection: &connection, organizations, config, late };
        match run_all(&mut session, group) {
            Ok(outcomes) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            // Closing the connection rolls back what may be left.
            Err(outage) => {
                self.organizations.forget();
                Err(outage)
            }
        }
    }

    /// One line when writing begins to fail, one when it works again.
    fn note(&mut self, outage: Option<&Failure>) {
        match outage {
            Some(outage) if !self.failing => tracing::error!(?outage, "the store cannot be written to"),
            None if self.failing => tracing::info!("the store can be written to again"),
            _ => {}
        }
        self.failing = outage.is_some();
    }
}

fn run_all(
    session: &mut Session<'_>,
    group: &mut [Box<dyn Work>],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let connection = session.connection;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut outcomes = Vec::with_capacity(group.len());
    for work in group {
        connection.prepare_cached("SAVEPOINT work")?.execute([])?;
        let outcome = work.run(session);
        match &outcome {
            Ok(()) => {}
            Err(outage @ Failure::Outage(_)) => return Err(outage.clone()),
            Err(_) => {
                connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
                // It may know some that were rolled back.
                session.organizations.forget();
            }
        }
        connection.prepare_cached("RELEASE work")?.execute([])?;
        outcomes.push(outcome);
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(outcomes)
}
