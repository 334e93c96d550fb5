//! Late events, told by NOTIFY: in the transaction that stores them, so that they are heard of if and only if they are
//! there.

use super::{config::Config, failure::Failure, lease::within};
use crate::{LateEvents, LateNews, late};
use async_trait::async_trait;
use record::{LogRecord, OrganizationId, Timestamp};
use sqlx::{PgConnection, postgres::PgListener};
use std::time::Duration;

/// All pipelines of a database share it.
const CHANNEL: &str = "logpipeline_late";
/// What is told in place of names.
const ANY: &str = "*";
/// How often a silent connection is asked whether it lives.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to say so.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// Pause before a connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells at the commit which organisations have late events among the rows; costs nothing when there are none.
pub(super) async fn tell(connection: &mut PgConnection, rows: &[LogRecord]) -> Result<(), Failure> {
    let Some(news) = late::news(rows, Timestamp::now()) else { return Ok(()) };
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(text(&news)).execute(connection).await?;
    Ok(())
}

fn text(news: &LateNews) -> String {
    match news {
        LateNews::Of(organizations) => {
            organizations.iter().map(OrganizationId::as_str).collect::<Vec<_>>().join(" ")
        }
        _ => ANY.to_owned(),
    }
}

/// What cannot be read was told by another version, and may concern anybody.
fn read(text: &str) -> LateNews {
    match text.split(' ').map(str::parse).collect() {
        Ok(organizations) => LateNews::Of(organizations),
        Err(_) => LateNews::OfAny,
    }
}

/// Hears what is told, on a connection of its own.
///
/// The library's listener connects anew by itself and says nothing of what it missed, so a connection that is lost is
/// thrown away here. The library does not notice one that is silent for ever, so it is asked.
pub(super) struct Listener {
    config: Config,
    connection: Option<PgListener>,
    /// Whether the last try to connect failed, or what it made was lost.
    has_failed: bool,
}

impl Listener {
    pub(super) fn new(config: &Config) -> Listener {
        let config = Config { connections: 1, ..config.clone() };
        Listener { config, connection: None, has_failed: false }
    }

    /// Connects until it succeeds, with a pause after each try that failed.
    async fn connect(&mut self) -> PgListener {
        loop {
            if self.has_failed {
                tokio::time::sleep(PAUSE).await;
            }
            let failure = match within(self.config.answer_timeout, listen(&self.config)).await {
                Ok(connection) => return connection,
                Err(failure) => failure,
            };
            if !self.has_failed {
                tracing::warn!(%failure, "late events cannot be heard of; trying on");
            }
            self.has_failed = true;
        }
    }
}

async fn listen(config: &Config) -> Result<PgListener, Failure> {
    let pool = config.pool().map_err(|error| Failure::Misconfigured(error.0))?;
    let mut connection = PgListener::connect_with(&pool).await?;
    connection.eager_reconnect(false);
    connection.listen(CHANNEL).await?;
    Ok(connection)
}

/// The next notification; `None` when the connection does not live any more.
async fn hear(connection: &mut PgListener) -> Result<Option<LateNews>, Failure> {
    loop {
        // What was read in part when the time is over is read on next time.
        if let Ok(heard) = tokio::time::timeout(ASKED_EVERY, connection.try_recv()).await {
            return Ok(heard?.map(|notification| read(notification.payload())));
        }
        let ask = async { Ok(sqlx::raw_sql("SELECT 1").execute(&mut *connection).await?) };
        within(ANSWERED_WITHIN, ask).await?;
    }
}

#[async_trait]
impl LateEvents for Listener {
    async fn next(&mut self) -> LateNews {
        let Some(connection) = &mut self.connection else {
            self.connection = Some(self.connect().await);
            self.has_failed = false;
            return LateNews::Listening;
        };
        let lost = match hear(connection).await {
            Ok(Some(news)) => return news,
            Ok(None) => "the connection broke".to_owned(),
            Err(failure) => failure.to_string(),
        };
        tracing::warn!(because = lost, "late events are not heard of until the database is connected anew");
        self.connection = None;
        self.has_failed = true;
        LateNews::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_reads_back() {
        let names = |names: &[&str]| LateNews::Of(names.iter().map(|name| name.parse().unwrap()).collect());
        for news in [names(&["acme"]), names(&["a:b/c", "d-e.f_g"]), LateNews::OfAny] {
            assert_eq!(read(&text(&news)), news);
        }
        for foreign in ["", "acme  globex", "acme, globex", "{\"v\":2}", "é"] {
            assert_eq!(read(foreign), LateNews::OfAny, "{foreign}");
        }
    }
}
