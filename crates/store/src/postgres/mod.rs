//! The store on PostgreSQL 14 or newer, for a pipeline of several processes.
//!
//! ```text
//! flush          ─▶ one transaction on one connection: position by compare-and-set, COPY, letters, commit
//! search, stats  ─▶ statements that look at a bounded number of rows each, by the index on time
//! maintain       ─▶ a partition a day, made ahead and dropped when all its events are behind the retention
//! ```
//! Opening connects to nothing: a database that is away holds the partitions and makes the process not ready, and ends
//! neither. Each operation has a bounded time, on the server and here.

mod config;
mod encode;
mod events;
mod failure;
mod flush;
mod lease;
mod letters;
mod maintain;
mod migrate;
mod outbox;
mod partitions;
mod positions;
mod recent;
mod scan;
mod stats;

use crate::{
    Filter, Flush, FlushError, LedgerRow, Letter, Outbox, Outcome, Page, Position, Publication, Query, QueryError,
    SearchQuestion, Sink, SinkError, StatsAnswer, StatsQuestion,
};
use async_trait::async_trait;
use lease::{Pool, within};
use recent::Recent;
use record::{LogRecord, OrganizationId, Timestamp, Uuid};
use std::{sync::Arc, time::Duration};

pub use config::{Config, Tls};
pub use maintain::Maintenance;

/// Longest time that migrations or maintenance may take.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(600);

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
        let mut lease = self.pool.lease().await?;
        let outcome = within(UPKEEP_TIMEOUT, migrate::migrate(&mut lease)).await;
        Ok(lease.end(outcome).await?)
    }

    /// Makes and drops partitions as the retention wants it at `now`; to be called after [`Store::migrate`] and then
    /// about every hour. Safe when several processes do so together.
    ///
    /// # Errors
    /// [`SinkError`] in an outage; what was done stays done.
    pub async fn maintain(&self, now: Timestamp) -> Result<Maintenance, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(UPKEEP_TIMEOUT, maintain::maintain(&mut lease, now, &self.config)).await;
        Ok(lease.end(outcome).await?)
    }

    /// Waits for what is under way and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Sink for Store {
    async fn positions(&self, assigned: &[Position]) -> Result<Vec<Position>, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), positions::begin(&mut lease, assigned)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn flush(&self, flush: Flush) -> Result<(), FlushError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), flush::flush(&mut lease, &self.recent, &flush)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn due_letters(&self, now: Timestamp, limit: usize) -> Result<Vec<Letter>, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), letters::due(&mut lease, now, limit)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Duration>, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), letters::next_due(&mut lease, now)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn settle(&self, letter: &Letter, outcome: Outcome) -> Result<bool, FlushError> {
        let mut lease = self.pool.lease().await?;
        let settled = within(lease.answer_timeout(), letters::settle(&mut lease, letter, &outcome)).await;
        Ok(lease.end(settled).await?)
    }

    /// Also looks whether the server takes writes and the tables are those of this program.
    async fn ready(&self) -> Result<(), SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), migrate::check_writable(&mut lease)).await;
        Ok(lease.end(outcome).await?)
    }
}

#[async_trait]
impl Outbox for Store {
    async fn publication(&self, limit: usize) -> Result<Option<Publication>, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), outbox::publication(&mut lease, limit)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn published(&self, number: i64) -> Result<bool, SinkError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), outbox::published(&mut lease, number)).await;
        Ok(lease.end(outcome).await?)
    }
}

#[async_trait]
impl Query for Store {
    async fn search(&self, question: SearchQuestion) -> Result<Page, QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), events::search(&mut lease, &question)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn get(&self, organization: &OrganizationId, id: Uuid) -> Result<Option<LogRecord>, QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), events::get(&mut lease, organization, id)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn span(&self, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), stats::span(&mut lease, filter)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn stats(&self, question: StatsQuestion) -> Result<StatsAnswer, QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), stats::stats(&mut lease, &question)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), positions::ledger(&mut lease)).await;
        Ok(lease.end(outcome).await?)
    }

    async fn ready(&self) -> Result<(), QueryError> {
        let mut lease = self.pool.lease().await?;
        let outcome = within(lease.answer_timeout(), migrate::check(&mut lease)).await;
        Ok(lease.end(outcome).await?)
    }
}
