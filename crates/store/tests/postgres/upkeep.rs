//! Migrations, partitions and retention.

use crate::support::*;
use record::{Timestamp, Uuid};
use store::{Outbox, Outcome, PartitionKey, Position, Sink, postgres::Config, postgres::Store};

async fn partitions(database: &Database) -> i64 {
    database.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'logs'::regclass").await
}

fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

fn days(number: i64) -> Timestamp {
    at(now().as_nanos() + number * DAY)
}

#[tokio::test]
async fn processes_that_start_together_migrate_and_make_partitions_once() {
    let database = Database::empty().await;
    let starting = (0..8).map(|_| {
        let config = database.config();
        tokio::spawn(async move {
            let store = Store::open(config).unwrap();
            store.migrate().await.unwrap();
            store.maintain(now()).await.unwrap()
        })
    });
    let mut made = Vec::new();
    for started in starting.collect::<Vec<_>>() {
        made.extend(started.await.unwrap().made);
    }
    made.sort();
    assert_eq!(made, ["logs_20260309", "logs_20260310", "logs_20260311"]);
    assert_eq!(database.number("SELECT count(*) FROM logpipeline_migrations").await, 2);
    assert_eq!(partitions(&database).await, 4, "those and logs_other");
}

#[tokio::test]
async fn tables_of_a_newer_program_are_left_alone() {
    let (database, store) = store().await;
    database.run("INSERT INTO logpipeline_migrations VALUES (99)").await;
    let error = store.migrate().await.unwrap_err().to_string();
    assert!(error.contains("newer program"), "{error}");
    assert!(Sink::ready(&store).await.is_err());
}

#[tokio::test]
async fn partitions_follow_the_time_and_take_their_events_with_them() {
    let database = Database::empty().await;
    let store = Store::open(Config { retention_days: 2, ..database.config() }).unwrap();
    store.migrate().await.unwrap();
    store.maintain(now()).await.unwrap();
    begin(&store, 1).await;
    let events: Vec<_> =
        (-1..=1).map(|day| event("acme", days(day).as_nanos(), &format!("day {day}"))).collect();
    store.flush(rows(0, 0, events)).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs_other").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM logs_20260310").await, 1);

    let same = store.maintain(now()).await.unwrap();
    assert_eq!(same, Default::default(), "nothing is to be done twice");
    let later = store.maintain(days(2)).await.unwrap();
    assert_eq!(later.dropped, ["logs_20260309"], "its last event is two days old, and not a day less");
    assert_eq!(later.made, ["logs_20260312", "logs_20260313"]);
    assert_eq!(messages(&store, "acme").await, ["day 1", "day 0"]);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.stored, row.is_balanced()), (3, true), "the ledger counts what was dropped, too");
}

/// Years 1970 to 2261 are accepted: a clock gone wrong must neither stop the pipeline nor fill the disk for ever.
#[tokio::test]
async fn events_of_any_time_are_stored_found_and_in_the_end_deleted() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let times = [0, 1, Timestamp::MAX.as_nanos(), days(-400).as_nanos()];
    let events = times.map(|nanos| event("acme", nanos, &nanos.to_string()));
    store.flush(rows(0, 0, events.to_vec())).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs_other").await, 4);
    let found = messages(&store, "acme").await;
    assert_eq!(found, [times[2], times[3], times[1], times[0]].map(|nanos| nanos.to_string()));

    let stored = Timestamp::now().as_nanos();
    assert_eq!(store.maintain(at(stored + 29 * DAY)).await.unwrap().deleted_events, 0);
    assert_eq!(store.maintain(at(stored + 32 * DAY)).await.unwrap().deleted_events, 4);
    assert!(messages(&store, "acme").await.is_empty());
}

#[tokio::test]
async fn events_that_came_before_their_day_had_a_partition_move_into_it() {
    let database = Database::empty().await;
    let store = Store::open(database.config()).unwrap();
    store.migrate().await.unwrap();
    store.maintain(now()).await.unwrap();
    begin(&store, 1).await;
    let early: Vec<_> =
        (3..6).map(|day| event("acme", days(day).as_nanos(), &format!("day {day}"))).collect();
    store.flush(rows(0, 0, early)).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs_other").await, 3);
    store.maintain(days(3)).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs_other").await, 1);
    assert_eq!(database.number("SELECT count(*) FROM logs_20260313").await, 1);
    assert_eq!(messages(&store, "acme").await, ["day 5", "day 4", "day 3"]);
}

/// A long query must not be able to stop retention for good, nor retention everybody else.
#[tokio::test]
async fn a_partition_that_is_in_use_is_left_to_the_next_time_and_flushes_go_on() {
    let database = Database::empty().await;
    let store = Store::open(Config { retention_days: 2, ..database.config() }).unwrap();
    store.migrate().await.unwrap();
    store.maintain(now()).await.unwrap();
    begin(&store, 1).await;
    let mut reader = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM logs").execute(&mut reader).await.unwrap();
    let maintaining = tokio::spawn({
        let store = store.clone();
        async move { store.maintain(days(2)).await.unwrap() }
    });
    database.until(WAITING).await;
    for number in 0..10 {
        store.flush(rows(0, number, vec![event("acme", days(0).as_nanos(), "m")])).await.unwrap();
    }
    let done = maintaining.await.unwrap();
    assert!(done.left.iter().any(|(name, _)| name == "logs_20260309"), "{done:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap();
    assert_eq!(store.maintain(days(2)).await.unwrap().dropped, ["logs_20260309"]);
}

#[tokio::test]
async fn dead_letters_are_deleted_when_published_and_old_and_not_before() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, (0..3).map(|n| letter(n, 0)).collect())).await.unwrap();
    for due in &store.due_letters(at(0), 10).await.unwrap()[..2] {
        store.settle(due, Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap();
    }
    let publication = store.publication(1).await.unwrap().unwrap();
    store.published(publication.number).await.unwrap();
    let published = Timestamp::now().as_nanos();
    assert_eq!(store.maintain(at(published + 29 * DAY)).await.unwrap().deleted_letters, 0);
    assert_eq!(store.maintain(at(published + 32 * DAY)).await.unwrap().deleted_letters, 1);
    assert_eq!(database.number("SELECT count(*) FROM dead_letters").await, 2);
    assert_eq!(ledger_of(&store, of(0)).await.dead_lettered, 3);
}

#[tokio::test]
async fn ids_of_a_topic_that_is_gone_are_forgotten_and_those_in_use_are_not() {
    let (database, store) = store().await;
    begin(&store, 2).await;
    let gone = PartitionKey { topic: Uuid::now_v7(), ..of(0) };
    store.positions(&[Position { of: gone, next: 0 }]).await.unwrap();
    let known = event("acme", 1, "known");
    store.flush(rows(0, 0, vec![known.clone()])).await.unwrap();
    store.flush(rows(0, 1, vec![event("acme", 2, "later")])).await.unwrap();
    store
        .flush(store::Flush { of: gone, ..rows(0, 0, vec![event("acme", 3, "of the topic before")]) })
        .await
        .unwrap();
    // The partition's first flush is long ago, its last is not.
    let aged = format!(
        "UPDATE recent_ids SET stored_on = stored_on - 9 WHERE topic_id = '{}' OR next_offset = 1",
        gone.topic
    );
    database.run(&aged).await;
    assert_eq!(store.maintain(Timestamp::now()).await.unwrap().forgotten_flushes, 1);
    assert_eq!(database.number("SELECT count(*) FROM recent_ids").await, 2);
    assert_eq!(store.flush(rows(0, 2, vec![known])).await.unwrap().duplicates, 1);
    let later = at(Timestamp::now().as_nanos() + 9 * DAY);
    assert_eq!(store.maintain(later).await.unwrap().forgotten_flushes, 2);
    assert_eq!(store.maintain(later).await.unwrap().forgotten_flushes, 0);
}
