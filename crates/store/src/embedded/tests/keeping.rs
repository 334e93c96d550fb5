use super::*;
use std::path::PathBuf;

fn path(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("store.db")
}

fn refusal_of(dir: &tempfile::TempDir) -> OpenError {
    Store::open(&path(dir), Config::default()).map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_store_is_open_once_and_can_be_opened_again_after_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert!(matches!(refusal_of(&dir), OpenError::InUse(_)));
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
    assert!(matches!(refusal_of(&dir), OpenError::Newer { found: 99, .. }));
    change("PRAGMA application_id = 5");
    assert!(matches!(refusal_of(&dir), OpenError::Foreign(_)));
    std::fs::write(
        path(&dir),
        b"no database, but some text that is long enough to be looked at\n".repeat(99),
    )
    .unwrap();
    let error = refusal_of(&dir).to_string();
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

/// As a program of version 1 leaves them: events, a repetition among them, and letters.
const ROWS_1: &str = "
    PRAGMA application_id = 0x6c6f6773;
    PRAGMA user_version = 1;
    INSERT INTO organizations VALUES (1, 'acme');
    INSERT INTO logs VALUES
        (1, 1, 5, 2, 'shop', 'one', x'00000000000000000000000000000001', NULL, NULL, NULL),
        (2, 1, 6, 2, 'shop', 'two', x'00000000000000000000000000000002', NULL, NULL, NULL),
        (3, 1, 6, 2, 'shop', 'two again', x'00000000000000000000000000000002', NULL, NULL, NULL);
    INSERT INTO minutes VALUES (1, 0, 'shop', 0, 0, 3, 0, 0, 0);
    INSERT INTO positions VALUES
        (x'00000000000000000000000000000007', 0, 100, 105, 3, 2, 1, 0, 0),
        (x'00000000000000000000000000000007', 1, 5, 5, 0, 0, 0, 0, 0);
    INSERT INTO dead_letters (topic, partition, offset, key, payload, first_at, reason, attempts, retry_at) VALUES
        (x'00000000000000000000000000000007', 0, 103, x'61', x'6263', 5000000001, 'tried', 1, 9),
        (x'00000000000000000000000000000007', 0, 104, x'61', x'62', 6000000001, 'given up', 4, NULL);
    ";

#[tokio::test]
async fn a_file_of_version_1_keeps_its_rows_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let made = rusqlite::Connection::open(path(&dir)).unwrap();
    made.execute_batch(schema::MIGRATIONS[0]).unwrap();
    made.execute_batch(ROWS_1).unwrap();
    drop(made);
    open(&dir).close().await;
    // Brought forward once, and opened as it is from then on.
    let store = open(&dir);
    assert_eq!(messages(&store, "acme").await, ["two again", "two", "one"]);
    let twice = store.get(&"acme".parse().unwrap(), Uuid::from_u128(2)).await.unwrap().unwrap();
    assert_eq!(twice.message, "two again");
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.epoch, row.start, row.next, row.stored, row.duplicates), (0, 100, 105, 3, 0));
    assert_eq!((row.dead_lettered, row.retrying, row.is_balanced()), (2, 1, true));
    assert_eq!(store.ledger().await.unwrap().len(), 2);
    let used = store
        .writer
        .submit(|session| Ok(crate::embedded::letters::usage(session.connection)?))
        .await
        .unwrap();
    assert_eq!(used, 5);

    let position = store.positions(&[Position { of: of(0), next: 0 }]).await.unwrap();
    assert_eq!(position, [Position { of: of(0), next: 105 }]);
    let known = LogRecord { id: Uuid::from_u128(1), ..event("acme", 5, "one") };
    assert_eq!(store.flush(rows(0, 105, vec![known])).await.unwrap().duplicates, 1);
    let due = store.due_letters(Timestamp::from_nanos(9).unwrap(), 10).await.unwrap();
    assert_eq!((due.len(), due[0].offset, due[0].of), (1, 103, of(0)));
    let repaired = Outcome::Stored(Box::new(event("acme", 9, "repaired")));
    assert!(store.settle(&due[0], repaired).await.unwrap());
    let timestamps = store.writer.submit(|session| {
        let sql = "SELECT timestamp_ms FROM dead_letters";
        Ok(session.connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(timestamps.await.unwrap(), 6_000);
}

#[tokio::test]
async fn a_file_whose_tables_cannot_be_brought_forward_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let made = rusqlite::Connection::open(path(&dir)).unwrap();
    made.execute_batch(schema::MIGRATIONS[0]).unwrap();
    made.execute_batch(ROWS_1).unwrap();
    // The last step of the migration finds its column there already.
    made.execute_batch("ALTER TABLE dead_letters ADD COLUMN sqlstate TEXT").unwrap();
    assert!(matches!(refusal_of(&dir), OpenError::Unusable { .. }));
    let version: i64 = made.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    let rows: i64 = made.query_row("SELECT count(*) FROM positions", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
    assert!(made.prepare("SELECT epoch FROM positions").is_err());
}
