//! How much the server looks at for an answer. What it read is counted by the server itself, so the store's own
//! statements are judged, not copies of them.

use crate::support::*;
use record::{Level, LogRecord, Timestamp};
use std::time::Duration;
use store::{Filter, Query, SearchQuestion, Sink, StatsQuestion, postgres::Store};

/// Scans of whole tables, and rows read by them, of all that holds events.
const SEQUENTIAL: &str =
    "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'logs%'";
/// Rows that index scans found in the tables.
const FETCHED: &str =
    "SELECT coalesce(sum(idx_tup_fetch), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'logs%'";
/// Entries that were read of the index on time.
const ENTRIES: &str = "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE indexrelname LIKE '%timestamp%' OR indexrelname LIKE '%by_time%'";

struct Counted {
    sequential: i64,
    fetched: i64,
    entries: i64,
}

/// What the questions made the server read.
async fn counted(database: &Database, question: impl AsyncFnOnce(Store)) -> Counted {
    let numbers = async || {
        // A session hands its counts in when it ends, at the latest.
        database.until("SELECT (count(*) = 1)::int::bigint FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'").await;
        [database.number(SEQUENTIAL).await, database.number(FETCHED).await, database.number(ENTRIES).await]
    };
    let before = numbers().await;
    let store = Store::open(database.config()).unwrap();
    question(store.clone()).await;
    store.close().await;
    let after = numbers().await;
    Counted { sequential: after[0] - before[0], fetched: after[1] - before[1], entries: after[2] - before[2] }
}

const ROWS: i64 = 60_000;

/// Three days with many events of one organisation, and a few of another.
async fn filled() -> (Database, i64) {
    let (database, store) = store().await;
    store.close().await;
    let start = (Timestamp::now().as_nanos() / DAY - 1) * DAY;
    database
        .run(&format!(
            "INSERT INTO logs
             SELECT {start} + n * ({DAY} / 20000), n, gen_random_uuid(), now(), n % 6,
                 CASE WHEN n % 1000 = 0 THEN 'small' ELSE 'large' END, 's' || n % 5, 'message ' || n
             FROM generate_series(1, {ROWS} - 1) AS n; "
        ))
        .await;
    // Each on its own: VACUUM goes into no transaction.
    database.run("VACUUM (ANALYZE) logs").await;
    (database, start)
}

fn search(filter: Filter, limit: usize) -> SearchQuestion {
    SearchQuestion { filter, limit, after: None, budget: BUDGET }
}

#[tokio::test]
async fn a_page_reads_about_as_many_rows_as_it_has() {
    let (database, _) = filled().await;
    for organization in ["large", "small"] {
        let read = counted(&database, async |store: Store| {
            let page = store.search(search(everything(organization), 50)).await.unwrap();
            assert_eq!(page.logs.len(), 50);
        })
        .await;
        assert_eq!(read.sequential, 0);
        assert!(read.fetched <= 60, "{} rows were read", read.fetched);
    }
}

#[tokio::test]
async fn a_page_after_a_cursor_begins_at_its_place() {
    let (database, start) = filled().await;
    let from = start + DAY * 3 / 2;
    let filter = Filter { to: Timestamp::from_nanos(from), ..everything("large") };
    let read = counted(&database, async |store: Store| {
        let first = store.search(search(filter.clone(), 50)).await.unwrap();
        let second = SearchQuestion { after: first.next, ..search(filter, 50) };
        assert_eq!(store.search(second).await.unwrap().logs.len(), 50);
    })
    .await;
    assert_eq!(read.sequential, 0);
    assert!(read.fetched <= 120 && read.entries <= 200, "{} rows, {} entries", read.fetched, read.entries);
}

#[tokio::test]
async fn looking_for_words_reads_each_row_once_and_only_of_its_organisation_and_time() {
    let (database, start) = filled().await;
    let filter = Filter {
        from: Timestamp::from_nanos(start + DAY),
        to: Timestamp::from_nanos(start + DAY * 2),
        words: vec!["nowhere".into()],
        ..everything("large")
    };
    let read = counted(&database, async |store: Store| {
        assert!(store.search(search(filter, 50)).await.unwrap().logs.is_empty());
    })
    .await;
    assert_eq!(read.sequential, 0);
    assert!((19_000..=20_100).contains(&read.fetched), "{} rows were read", read.fetched);
}

#[tokio::test]
async fn counts_come_from_the_index_alone() {
    let (database, _) = filled().await;
    let read = counted(&database, async |store: Store| {
        for levels in [vec![], vec![Level::Error, Level::Fatal]] {
            let filter = Filter { levels, ..everything("large") };
            let question = StatsQuestion { filter, interval: Duration::from_secs(60), budget: BUDGET };
            assert!(!store.stats(question).await.unwrap().partial);
        }
    })
    .await;
    assert_eq!((read.sequential, read.fetched), (0, 0));
    assert!((119_000..=121_000).contains(&read.entries), "{} entries were read", read.entries);
}

#[tokio::test]
async fn a_span_reads_only_the_ends() {
    let (database, _) = filled().await;
    let read = counted(&database, async |store: Store| {
        for service in [None, Some("s3".to_owned())] {
            let filter = Filter { service, levels: vec![Level::Warn], ..everything("large") };
            assert!(store.span(&filter).await.unwrap().is_some());
        }
    })
    .await;
    assert_eq!(read.sequential, 0);
    assert!(read.entries <= 200, "{} entries were read", read.entries);
}

#[tokio::test]
async fn an_id_is_found_by_the_summary_of_ids() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    // Ids that rise, as UUIDv7 do, with times that say something else.
    let old = Timestamp::now().as_nanos() - DAY / 2;
    let events: Vec<LogRecord> = (0..60_000).map(|n| event("acme", old + n, "by id")).collect();
    let wanted = events[10_000].id;
    for (number, events) in (0..).zip(events.chunks(20_000)) {
        Sink::flush(&store, rows(0, number * 20_000, events.to_vec())).await.unwrap();
    }
    store.close().await;
    database
        .run(
            "SELECT brin_summarize_new_values(indexrelid) FROM pg_stat_user_indexes
             WHERE indexrelname LIKE 'logs%id_idx'",
        )
        .await;
    let read = counted(&database, async |store: Store| {
        let found = store.get(&"acme".parse().unwrap(), wanted).await.unwrap();
        assert_eq!(found.unwrap().id, wanted);
    })
    .await;
    assert_eq!((read.sequential, read.entries), (0, 0));
    assert!(read.fetched <= 25_000, "{} rows were read", read.fetched);
}
