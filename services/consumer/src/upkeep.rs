//! What a consumer does for its store besides storing: tables at the start, partitions ever after.

use record::Timestamp;
use resilience::Backoff;
use std::time::Duration;
use store::{SinkError, postgres::Store};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often partitions are made ahead and old ones dropped.
const EVERY: Duration = Duration::from_secs(600);
/// Wait before it is tried again after it failed.
const AGAIN: Duration = Duration::from_secs(30);

/// Brings the tables to this program's version, however long the database is not there. False when the process is to
/// stop before that.
pub async fn prepare(store: &Store, stop: &CancellationToken) -> bool {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match migrate(store).await {
            Ok(()) => return true,
            Err(error) => tracing::error!(%error, "the tables cannot be made; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = sleep(backoff.next(rand::random())) => {}
        }
    }
}

async fn migrate(store: &Store) -> Result<(), SinkError> {
    store.migrate().await?;
    store.maintain(Timestamp::now()).await.map(drop)
}

/// Keeps the partitions as the retention wants them, until `stop`.
pub async fn maintain(store: Store, stop: CancellationToken) {
    let mut wait = EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
        wait = match store.maintain(Timestamp::now()).await {
            Ok(done) => {
                tracing::debug!(?done, "partitions are as they should be");
                EVERY
            }
            Err(error) => {
                tracing::error!(%error, "partitions cannot be made or dropped; trying again");
                AGAIN
            }
        };
    }
}
