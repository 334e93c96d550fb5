//! The end: nothing more is accepted; what was accepted is stored as far as time allows, and all is told.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use store::Query;
use topic::Viewer;

/// How often to look whether all is stored.
const LOOK: Duration = Duration::from_millis(50);

/// What the pipeline did since its start.
#[derive(Debug)]
pub(crate) struct Report {
    stored: i64,
    dead_lettered: i64,
    waiting: i64,
}

/// Counts stored and set-aside events, to be subtracted at the end.
pub(crate) async fn counts(store: &dyn Query) -> anyhow::Result<(i64, i64)> {
    let rows = store.ledger().await?;
    Ok((rows.iter().map(|row| row.stored).sum(), rows.iter().map(|row| row.dead_lettered).sum()))
}

/// Waits until everything in the topic is accounted for, at most `deadline`.
pub(crate) async fn drain(
    topic: &dyn Viewer,
    store: &dyn Query,
    deadline: Duration,
    (stored_before, dead_before): (i64, i64),
) -> anyhow::Result<Report> {
    let until = Instant::now() + deadline;
    loop {
        let waiting = lag(topic, store).await?;
        if waiting == 0 || Instant::now() >= until {
            let (stored, dead_lettered) = counts(store).await?;
            return Ok(Report {
                stored: stored - stored_before,
                dead_lettered: dead_lettered - dead_before,
                waiting,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Records in the topic that are not accounted for yet.
async fn lag(topic: &dyn Viewer, store: &dyn Query) -> anyhow::Result<i64> {
    let next: HashMap<_, _> =
        store.ledger().await?.iter().map(|row| ((row.topic, row.partition), row.next)).collect();
    let offsets = topic.offsets().await?;
    Ok(offsets
        .iter()
        .map(|of| of.end - next.get(&(of.topic.0, of.partition)).copied().unwrap_or(of.log_start))
        .sum())
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stored {} events, dead-lettered {}", self.stored, self.dead_lettered)?;
        match self.waiting {
            0 => f.write_str(", none waiting"),
            waiting => write!(f, ", {waiting} wait in the topic for the next start"),
        }
    }
}
