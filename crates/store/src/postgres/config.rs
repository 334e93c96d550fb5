//! Where the database is, and the limits of its use.

use super::failure::Failure;
use crate::SinkError;
use sqlx::{
    ConnectOptions, PgPool, Postgres,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// Connections that have not been used for so long are asked whether they still live before they are used.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(1);

/// How a connection is kept from being read or redirected.
#[derive(Debug, Clone, Default)]
pub enum Tls {
    /// No TLS: for a server on the same machine, or behind a proxy that does it.
    #[default]
    Off,
    /// TLS without looking at the server's certificate: nobody reads along, but anybody may pose as the server.
    Encrypt,
    /// The certificate must come from an authority of the system or of this file (PEM).
    VerifyCa(Option<PathBuf>),
    /// The same, and it must name the host that the URL names.
    VerifyFull(Option<PathBuf>),
}

/// Where the database is, and the limits of its use. `Debug` shows no password.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user:password@host:port/database`. Parameters of the URL that say something of TLS count less than
    /// [`Config::tls`].
    pub url: String,
    /// TLS of every connection.
    pub tls: Tls,
    /// Name under which the server lists our connections.
    pub application_name: String,
    /// Connections of this process at most.
    pub connections: u32,
    /// How long an operation waits for a connection: a free one, or a new one.
    pub acquire_timeout: Duration,
    /// The server ends a statement that takes longer.
    pub statement_timeout: Duration,
    /// The server ends a statement that waits longer for a lock.
    pub lock_timeout: Duration,
    /// An operation that has no answer after this time is an outage, and its connection is thrown away: the only way to
    /// notice a network that swallows everything. Longer than `statement_timeout`.
    pub answer_timeout: Duration,
    /// The server gives our transaction up, and its locks with it, when it hears nothing of us for about so long.
    pub server_patience: Duration,
    /// Days that events are kept: by their own time, or by the time they were stored when that is far from it.
    pub retention_days: u16,
    /// Days before today for which partitions are made; older events go to `logs_other`. Never more than
    /// `retention_days`.
    pub days_back: u16,
    /// Days after today for which partitions are made.
    pub days_ahead: u16,
    /// Bytes of dead letters. Beyond them the oldest that are published are deleted; when those that are not have so many,
    /// partitions with broken records hold until some are published.
    pub max_letter_bytes: u64,
    /// Ids that a partition of the topic remembers, to tell an event that is sent again. 0 turns this off.
    pub remembered_ids: usize,
}

impl Config {
    /// The usual limits for a database.
    pub fn new(url: impl Into<String>) -> Config {
        Config {
            url: url.into(),
            tls: Tls::Off,
            application_name: "logpipeline".into(),
            connections: 20,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(15),
            server_patience: Duration::from_secs(20),
            retention_days: 30,
            days_back: 7,
            days_ahead: 3,
            max_letter_bytes: 512 << 20,
            remembered_ids: 200_000,
        }
    }

    /// A pool that connects when it is used.
    pub(super) fn pool(&self) -> Result<PgPool, SinkError> {
        let options = PgConnectOptions::from_str(&self.url)
            .map_err(|error| {
                SinkError(format!("the database's URL cannot be read: {}", Failure::from(error)))
            })?
            .application_name(&self.application_name)
            // Statements hold other people's data.
            .disable_statement_logging()
            .options(self.settings());
        let options = match &self.tls {
            Tls::Off => options.ssl_mode(PgSslMode::Disable),
            Tls::Encrypt => options.ssl_mode(PgSslMode::Require),
            Tls::VerifyCa(authority) => with_authority(options, authority).ssl_mode(PgSslMode::VerifyCa),
            Tls::VerifyFull(authority) => with_authority(options, authority).ssl_mode(PgSslMode::VerifyFull),
        };
        Ok(PoolOptions::<Postgres>::new()
            .max_connections(self.connections)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > DOUBTFUL_AFTER {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options))
    }

    /// Settings of the server for each of our connections.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let millis = |duration: Duration| duration.as_millis().max(1).to_string();
        let patience = self.server_patience.as_secs().max(2);
        vec![
            // Whatever the database's default is: what was answered survives a power failure.
            ("synchronous_commit", "on".into()),
            ("statement_timeout", millis(self.statement_timeout)),
            ("lock_timeout", millis(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", millis(self.server_patience)),
            ("tcp_user_timeout", millis(self.server_patience)),
            ("tcp_keepalives_idle", (patience / 2).to_string()),
            ("tcp_keepalives_interval", (patience / 4).max(1).to_string()),
            ("tcp_keepalives_count", "2".into()),
            // Our queries are short and many: compiling them or spreading them over processes only costs.
            ("jit", "off".into()),
            ("max_parallel_workers_per_gather", "0".into()),
            // A plan for the very time that is asked for leaves the partitions of other days out.
            ("plan_cache_mode", "force_custom_plan".into()),
            // Each look is bounded and in the order of the index; what scans or sorts first is never the better plan.
            ("enable_seqscan", "off".into()),
            ("enable_bitmapscan", "off".into()),
        ]
    }
}

fn with_authority(options: PgConnectOptions, authority: &Option<PathBuf>) -> PgConnectOptions {
    match authority {
        Some(path) => options.ssl_root_cert(path),
        None => options,
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &without_password(&self.url))
            .field("tls", &self.tls)
            .field("application_name", &self.application_name)
            .field("connections", &self.connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("server_patience", &self.server_patience)
            .field("retention_days", &self.retention_days)
            .field("days_back", &self.days_back)
            .field("days_ahead", &self.days_ahead)
            .field("max_letter_bytes", &self.max_letter_bytes)
            .field("remembered_ids", &self.remembered_ids)
            .finish()
    }
}

/// The URL as far as it may be shown: without user, password and parameters, any of which may hold a secret.
fn without_password(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        (Some(_), None) => url.to_owned(),
        (None, _) => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_holds_no_password() {
        for url in [
            "postgres://me:s3cret@db:5432/logs?sslmode=disable",
            "postgres://me:s3cret/@x@db/logs",
            "postgres://db/logs?password=s3cret",
            "s3cret",
            "me:s3cret@db",
        ] {
            let shown = format!("{:?}", Config::new(url));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(without_password("postgres://me:s3cret@db:5432/logs"), "postgres://…@db:5432/logs");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_an_error_without_its_text() {
        let error = Config::new("postgres://me:s3cret@db:notaport/logs").pool().unwrap_err().to_string();
        assert!(error.contains("URL") && !error.contains("s3cret"), "{error}");
    }
}
