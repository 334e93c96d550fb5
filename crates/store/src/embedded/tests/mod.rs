//! The store as its users see it, on a file in a directory of its own.

mod epochs;
mod flushing;
mod keeping;
mod late;
mod letters;
mod reading;
mod repetitions;

use super::*;
use crate::{NewLetter, PartitionKey, Refusal};
use record::Level;

const BUDGET: Duration = Duration::from_secs(60);

fn open(dir: &tempfile::TempDir) -> Store {
    open_with(dir, Config::default())
}

fn open_with(dir: &tempfile::TempDir, config: Config) -> Store {
    Store::open(&dir.path().join("store.db"), config).unwrap()
}

fn of(partition: i32) -> PartitionKey {
    PartitionKey { topic: Uuid::from_u128(7), partition, epoch: 0 }
}

fn event(organization: &str, nanos: i64, message: &str) -> LogRecord {
    LogRecord {
        id: Uuid::now_v7(),
        organization_id: organization.parse().unwrap(),
        timestamp: Timestamp::from_nanos(nanos).unwrap(),
        level: Level::Info,
        service: "shop".into(),
        message: message.into(),
        trace_id: None,
        span_id: None,
        attributes: None,
    }
}

/// A refusal of ours.
fn refusal(reason: &str) -> Refusal {
    Refusal::from(reason.to_owned())
}

fn letter(offset: i64, retry_at: i64) -> NewLetter {
    NewLetter {
        offset,
        key: "acme".into(),
        payload: format!("broken {offset}").into(),
        timestamp_ms: 1_000 + offset,
        traceparent: None,
        refusal: refusal("not JSON"),
        retry_at: Timestamp::from_nanos(retry_at).unwrap(),
    }
}

/// A flush of rows only, from `expected` on.
fn rows(partition: i32, expected: i64, rows: Vec<LogRecord>) -> Flush {
    let next = expected + rows.len() as i64;
    Flush { of: of(partition), expected, next, rows, letters: vec![], skipped: 0, lost: 0 }
}

/// A flush of letters only, from `expected` on.
fn letters(partition: i32, expected: i64, letters: Vec<NewLetter>) -> Flush {
    let next = expected + letters.len() as i64;
    Flush { of: of(partition), expected, next, rows: vec![], letters, skipped: 0, lost: 0 }
}

async fn begin(store: &Store, partitions: i32) {
    let asked: Vec<_> = (0..partitions).map(|partition| Position { of: of(partition), next: 0 }).collect();
    store.positions(&asked).await.unwrap();
}

fn everything(organization: &str) -> Filter {
    let organization = organization.parse().unwrap();
    Filter { organization, from: None, to: None, levels: vec![], service: None, words: vec![] }
}

/// All messages of an organisation, newest first.
async fn messages(store: &Store, organization: &str) -> Vec<String> {
    let question =
        SearchQuestion { filter: everything(organization), limit: 10_000, after: None, budget: BUDGET };
    let page = store.search(question).await.unwrap();
    page.logs.into_iter().map(|log| log.message).collect()
}

async fn ledger_of(store: &Store, partition: i32) -> LedgerRow {
    let rows = store.ledger().await.unwrap();
    *rows.iter().find(|row| row.partition == partition).unwrap()
}
