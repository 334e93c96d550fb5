//! One connection for one piece of work. It goes back to the pool only when it is known to be whole.

use super::{config::Config, failure::Failure};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

/// The pool, and how long to wait for what.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pool: PgPool,
    acquire_timeout: Duration,
    answer_timeout: Duration,
}

/// A connection in use. Dropped without [`Lease::end`], as when its user is cancelled, it is closed: nobody knows what
/// it would answer next.
pub(super) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    pool: PgPool,
    answer_timeout: Duration,
}

impl Pool {
    pub(super) fn new(pool: PgPool, config: &Config) -> Pool {
        Pool { pool, acquire_timeout: config.acquire_timeout, answer_timeout: config.answer_timeout }
    }

    /// Waits for a connection.
    pub(super) async fn lease(&self) -> Result<Lease, Failure> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(Lease {
                connection: Some(connection),
                pool: self.pool.clone(),
                answer_timeout: self.answer_timeout,
            }),
            Err(sqlx::Error::PoolTimedOut) => Err(self.explain_waiting()),
            Err(error) => Err(error.into()),
        }
    }

    /// The pool waits in vain both for a server that is not there and for its own connections.
    fn explain_waiting(&self) -> Failure {
        let (open, idle, most) = self.connections();
        let options = self.pool.connect_options();
        let (host, port, after) = (options.get_host(), options.get_port(), self.acquire_timeout);
        Failure::Outage(if open >= most && idle == 0 {
            format!(
                "all {most} connections were in use for {after:?}: raise the pool's size or lower the load"
            )
        } else {
            format!(
                "no connection to {host}:{port} within {after:?}: look whether the server runs and can be reached"
            )
        })
    }

    /// How many are open, how many of them idle, and how many there may be.
    pub(super) fn connections(&self) -> (u32, u32, u32) {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        (self.pool.size(), idle, self.pool.options().get_max_connections())
    }

    /// Waits for the connections in use and closes all.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Lease {
    /// Gives the connection back if the work left it whole, else closes it; hands the work's outcome on.
    pub(super) async fn end<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match &outcome {
            Ok(_) => self.give_back(),
            Err(Failure::Broken(_)) => self.distrust_idle(),
            Err(_) => {
                let limit = self.answer_timeout;
                let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *self);
                if matches!(tokio::time::timeout(limit, rollback).await, Ok(Ok(_))) {
                    self.give_back();
                }
            }
        }
        outcome
    }

    fn give_back(&mut self) {
        // Dropping it is what returns it.
        drop(self.connection.take());
    }

    /// Whatever broke this connection has most likely broken those that lie idle.
    fn distrust_idle(&self) {
        while let Some(idle) = self.pool.try_acquire() {
            drop(idle.detach());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

const TAKEN: &str = "the connection is there until the lease ends";

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(TAKEN)
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(TAKEN)
    }
}

/// Waits for work on a connection, as long as an answer may take.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(Failure::silence(limit)))
}
