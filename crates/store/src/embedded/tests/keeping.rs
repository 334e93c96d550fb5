use super::*;
use std::path::PathBuf;

fn path(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("store.db")
}

fn refusal(dir: &tempfile::TempDir) -> OpenError {
    Store::open(&path(dir), Config::default()).map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_store_is_open_once_and_can_be_opened_again_after_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert!(matches!(refusal(&dir), OpenError::InUse(_)));
    let other = store.clone();
    store.close().await;
    assert!(matches!(other.flush(rows(0, 0, vec![])).await, Err(FlushError::Outage(_))));
    open(&dir).close().await;
}

#[tokio::test]
async fn files_that_are_not_ours_are_told_apart_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).close().await;
    let change = |sql: &str| rusqlite::Connection::open(path(&dir)).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 99");
    assert!(matches!(refusal(&dir), OpenError::Newer { found: 99, .. }));
    change("PRAGMA application_id = 5");
    assert!(matches!(refusal(&dir), OpenError::Foreign(_)));
    std::fs::write(
        path(&dir),
        b"no database, but some text that is long enough to be looked at\n".repeat(99),
    )
    .unwrap();
    let error = refusal(&dir).to_string();
    assert!(error.contains("damaged"), "{error}");
}

#[tokio::test]
async fn a_full_store_deletes_the_oldest_and_its_counts_follow() {
    let dir = tempfile::tempdir().unwrap();
    let max_bytes = 8 << 20;
    let store = open_with(&dir, Config { max_bytes, ..Config::default() });
    begin(&store, 1).await;
    let mut next = 0;
    for flush in 0..60 {
        let events = (0..500)
            .map(|n| event("acme", flush * 60_000_000_000 + n, &format!("{flush:03} {}", "x".repeat(500))))
            .collect();
        store.flush(rows(0, next, events)).await.unwrap();
        next += 500;
    }
    // Deleting follows the last flush; what is handed in next waits for it.
    Sink::ready(&store).await.unwrap();
    let used = store.writer.submit(|session| Ok(retention::used_bytes(session.connection)?)).await.unwrap();
    assert!(used <= max_bytes, "{used} bytes are in use");

    let mut found = Vec::new();
    let mut after = None;
    loop {
        let filter = everything("acme");
        let question = SearchQuestion { filter, limit: 1_000, after, budget: BUDGET };
        let page = store.search(question).await.unwrap();
        found.extend(page.logs);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(found.len() >= 500 && found.len() < 30_000, "{} events are left", found.len());
    assert!(found[0].message.starts_with("059 "), "the newest are kept");
    let question =
        StatsQuestion { filter: everything("acme"), interval: Duration::from_secs(60), budget: BUDGET };
    let counted: u64 = {
        let answer = store.stats(question).await.unwrap();
        answer.buckets.iter().flat_map(|bucket| bucket.by_level.values()).sum()
    };
    assert_eq!(counted, found.len() as u64);
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.stored, row.is_balanced()), (30_000, true), "the ledger counts what was deleted, too");
}
