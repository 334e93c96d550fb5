//! The store on PostgreSQL 14 or newer, for a pipeline of several processes.
//!
//! ```text
//! flush          ─▶ one transaction on one connection: position by compare-and-set, COPY, letters, commit
//! search, stats  ─▶ statements that look at a bounded number of rows each, by the index on time
//! late_events    ─▶ a connection more, which hears of events that came late
//! maintain       ─▶ a partition a day, made ahead and dropped when all its events are behind the retention
//! ```
//! Opening connects to nothing: a database that is away holds the partitions and makes the process not ready, and ends
//! neither. Each operation has a bounded time, on the server and here.

mod config;
mod connections;
mod encode;
mod events;
mod failure;
mod flush;
mod late;
mod lease;
mod letter_bytes;
mod letters;
mod maintain;
mod migrate;
mod outbox;
mod partitions;
mod positions;
mod recent;
mod scan;
mod settings;
mod stats;

use crate::{
    Filter, Flush, FlushError, Flushed, LateEvents, LedgerRow, Letter, Outbox, Outcome, Page, Position,
    Publication, Query, QueryError, SearchQuestion, Sink, SinkError, StatsAnswer, StatsQuestion,
};
use async_trait::async_trait;
use connections::Connections;
use lease::{Pool, within};
use prometheus_client::registry::Registry;
use recent::Recent;
use record::{LogRecord, OrganizationId, Timestamp, Uuid};
use std::{sync::Arc, time::Duration};

pub use config::{Config, Tls};
pub use maintain::Maintenance;

/// Longest time that migrations or maintenance may take.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(600);

/// Does work on a connection of the store within a time; gives the connection back if it is whole.
macro_rules! on {
    ($store:expr, $limit:expr, $connection:ident => $work:expr) => {{
        let mut lease = $store.pool.lease().await?;
        let $connection = &mut *lease;
        let outcome = within($limit, $work).await;
        Ok(lease.end(outcome).await?)
    }};
}

/// A store on PostgreSQL; clones share its connections.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    recent: Arc<Recent>,
    config: Arc<Config>,
}

impl Store {
    /// Makes a store that connects when it is used. The tables have to be there: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`SinkError`] when the URL cannot be read.
    pub fn open(config: Config) -> Result<Store, SinkError> {
        let pool = Pool::new(config.pool()?, &config);
        Ok(Store { pool, recent: Arc::new(Recent::new(config.remembered_ids)), config: Arc::new(config) })
    }

    /// Makes the tables, or brings them to this program's version. Safe when several processes do so together; needs a
    /// user that may create tables.
    ///
    /// # Errors
    /// [`SinkError`] in an outage, and when the tables are newer than this program.
    pub async fn migrate(&self) -> Result<(), SinkError> {
        on!(self, UPKEEP_TIMEOUT, connection => migrate::migrate(connection))
    }

    /// Makes and drops partitions as the retention wants it at `now`; to be called after [`Store::migrate`] and then
    /// about every hour. Safe when several processes do so together.
    ///
    /// # Errors
    /// [`SinkError`] in an outage; what was done stays done.
    pub async fn maintain(&self, now: Timestamp) -> Result<Maintenance, SinkError> {
        on!(self, UPKEEP_TIMEOUT, connection => maintain::maintain(connection, now, &self.config))
    }

    /// Shows its connections in `registry`: `database_connections` and `database_connections_max`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Connections(self.pool.clone())));
    }

    /// Waits for what is under way and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Sink for Store {
    async fn positions(&self, assigned: &[Position]) -> Result<Vec<Position>, SinkError> {
        on!(self, self.config.answer_timeout, connection => positions::begin(connection, assigned))
    }

    async fn flush(&self, flush: Flush) -> Result<Flushed, FlushError> {
        on!(self, self.config.answer_timeout, connection =>
            flush::flush(connection, &self.recent, &self.config, &flush))
    }

    async fn begin_epoch(&self, stored: Position, log_start: i64, end: i64) -> Result<Position, FlushError> {
        on!(self, self.config.answer_timeout, connection => positions::begin_epoch(connection, stored, log_start, end))
    }

    async fn due_letters(&self, now: Timestamp, limit: usize) -> Result<Vec<Letter>, SinkError> {
        on!(self, self.config.answer_timeout, connection => letters::due(connection, now, limit))
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Duration>, SinkError> {
        on!(self, self.config.answer_timeout, connection => letters::next_due(connection, now))
    }

    async fn settle(&self, letter: &Letter, outcome: Outcome) -> Result<bool, FlushError> {
        on!(self, self.config.answer_timeout, connection => letters::settle(connection, &self.recent, letter, &outcome))
    }

    /// Also looks whether the server takes writes and the tables are those of this program.
    async fn ready(&self) -> Result<(), SinkError> {
        on!(self, self.config.answer_timeout, connection => migrate::check_writable(connection))
    }
}

#[async_trait]
impl Outbox for Store {
    async fn publication(&self, limit: usize) -> Result<Option<Publication>, SinkError> {
        on!(self, self.config.answer_timeout, connection => outbox::publication(connection, limit))
    }

    async fn published(&self, number: i64) -> Result<bool, SinkError> {
        on!(self, self.config.answer_timeout, connection => outbox::published(connection, &self.config, number))
    }
}

#[async_trait]
impl Query for Store {
    async fn search(&self, question: SearchQuestion) -> Result<Page, QueryError> {
        on!(self, self.config.answer_timeout, connection => events::search(connection, &question))
    }

    async fn get(&self, organization: &OrganizationId, id: Uuid) -> Result<Option<LogRecord>, QueryError> {
        on!(self, self.config.answer_timeout, connection => events::get(connection, organization, id))
    }

    async fn span(&self, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        on!(self, self.config.answer_timeout, connection => stats::span(connection, filter))
    }

    async fn stats(&self, question: StatsQuestion) -> Result<StatsAnswer, QueryError> {
        on!(self, self.config.answer_timeout, connection => stats::stats(connection, &question))
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, QueryError> {
        on!(self, self.config.answer_timeout, connection => positions::ledger(connection))
    }

    fn late_events(&self) -> Box<dyn LateEvents> {
        Box::new(late::Listener::new(&self.config))
    }

    async fn ready(&self) -> Result<(), QueryError> {
        on!(self, self.config.answer_timeout, connection => migrate::check(connection))
    }
}
