//! The store on one SQLite file, for a pipeline in one process.
//!
//! ```text
//! flush, settle ─▶ writer thread: all that waits in one transaction, one fsync ─▶ answers
//! search, stats ─▶ a connection of its own each, from a bounded pool, reading a snapshot
//! ```
//! The file is in WAL mode with `synchronous = FULL`, so readers never wait for the writer, nor it for them, and what
//! was answered survives a power failure. When the file has its size, the oldest events are deleted.

mod failure;
mod flush;
mod late;
mod letters;
mod minutes;
mod open;
mod organizations;
mod positions;
mod readers;
mod retention;
mod rows;
mod scan;
mod schema;
mod search;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

use crate::{
    Filter, Flush, FlushError, Flushed, LateEvents, LedgerRow, Letter, Outcome, Page, Position, Query,
    QueryError, SearchQuestion, Sink, SinkError, StatsAnswer, StatsQuestion,
};
use async_trait::async_trait;
use readers::Readers;
use record::{LogRecord, OrganizationId, Timestamp, Uuid};
use std::{path::Path, sync::Arc, time::Duration};
use writer::Writer;

pub use open::OpenError;

/// Limits of an embedded store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of the file that may be in use; beyond them the oldest events are deleted.
    pub max_bytes: u64,
    /// Bytes of dead letters. Beyond them the oldest that are given up are deleted; when none is left to delete, the
    /// partitions hold until letters are settled.
    pub max_letter_bytes: u64,
    /// Queries answered at one time, each by a connection of its own.
    pub readers: usize,
    /// Queries that wait for one of them; more are answered [`QueryError::Busy`].
    pub waiting_queries: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_bytes: 16 << 30, max_letter_bytes: 512 << 20, readers: 4, waiting_queries: 256 }
    }
}

/// A store on one SQLite file; clones share it. Dropping the last one without [`Store::close`] still commits what was
/// handed in, later.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

impl Store {
    /// Opens the store at `path`, made when it is not there, and locks `<path>.lock`. Blocks while it recovers what
    /// an earlier process left.
    ///
    /// # Errors
    /// [`OpenError`]; the directory has to be there.
    pub fn open(path: &Path, config: Config) -> Result<Store, OpenError> {
        let lock = open::lock(path)?;
        let connection = open::create_or_open(path)?;
        let readers = Readers::new(path, config.readers, config.waiting_queries);
        let writer = Writer::start(path, connection, lock, config)?;
        Ok(Store { writer: Arc::new(writer), readers: Arc::new(readers) })
    }

    /// Takes nothing more, commits what was handed in, and unlocks the file.
    pub async fn close(self) {
        self.writer.close().await;
    }
}

#[async_trait]
impl Sink for Store {
    async fn positions(&self, assigned: &[Position]) -> Result<Vec<Position>, SinkError> {
        let assigned = assigned.to_vec();
        Ok(self.writer.submit(move |session| positions::begin(session.connection, &assigned)).await?)
    }

    async fn flush(&self, flush: Flush) -> Result<Flushed, FlushError> {
        Ok(self.writer.submit(move |session| flush::flush(session, &flush)).await?)
    }

    async fn begin_epoch(&self, stored: Position, log_start: i64, end: i64) -> Result<Position, FlushError> {
        let begin = move |session: &mut writer::Session<'_>| {
            positions::begin_epoch(session.connection, stored, log_start, end)
        };
        Ok(self.writer.submit(begin).await?)
    }

    async fn due_letters(&self, now: Timestamp, limit: usize) -> Result<Vec<Letter>, SinkError> {
        Ok(self.writer.submit(move |session| letters::due(session.connection, now, limit)).await?)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Duration>, SinkError> {
        Ok(self.writer.submit(move |session| letters::next_due(session.connection, now)).await?)
    }

    async fn settle(&self, letter: &Letter, outcome: Outcome) -> Result<bool, FlushError> {
        let letter = letter.clone();
        Ok(self.writer.submit(move |session| letters::settle(session, &letter, &outcome)).await?)
    }

    async fn ready(&self) -> Result<(), SinkError> {
        Ok(self.writer.submit(|_| Ok(())).await?)
    }
}

#[async_trait]
impl Query for Store {
    async fn search(&self, question: SearchQuestion) -> Result<Page, QueryError> {
        self.readers.ask(move |connection| search::search(connection, &question)).await
    }

    async fn get(&self, organization: &OrganizationId, id: Uuid) -> Result<Option<LogRecord>, QueryError> {
        let organization = organization.clone();
        self.readers.ask(move |connection| search::get(connection, &organization, id)).await
    }

    async fn span(&self, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        let filter = filter.clone();
        self.readers.ask(move |connection| stats::span(connection, &filter)).await
    }

    async fn stats(&self, question: StatsQuestion) -> Result<StatsAnswer, QueryError> {
        self.readers.ask(move |connection| stats::stats(connection, &question)).await
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, QueryError> {
        self.readers.ask(positions::ledger).await
    }

    fn late_events(&self) -> Box<dyn LateEvents> {
        Box::new(late::Listener::new(self.writer.late_events()))
    }

    async fn ready(&self) -> Result<(), QueryError> {
        self.readers
            .ask(|connection| connection.query_row("SELECT count(*) FROM positions", [], |_| Ok(())))
            .await
    }
}
