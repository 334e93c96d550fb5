//! The bound on the bytes of dead letters.

use crate::support::*;
use record::Timestamp;
use store::{FlushError, NewLetter, Outbox, Outcome, Sink, postgres::Config, postgres::Store};

/// Bytes of one letter's payload and key.
const LETTER: i64 = 100;
const COUNTED: &str = "SELECT sum(letter_bytes)::bigint FROM consumer_offsets";
const PUBLISHED: &str = "SELECT sum(published_bytes)::bigint FROM consumer_offsets";
/// What the counts should be, by the plain way.
const PLAIN: &str = "SELECT coalesce(sum(length(key) + length(payload)), 0)::bigint FROM dead_letters";
const PLAIN_PUBLISHED: &str = "SELECT coalesce(sum(length(key) + length(payload)), 0)::bigint FROM dead_letters WHERE published_at IS NOT NULL";

fn of_100_bytes(offset: i64) -> NewLetter {
    NewLetter { key: "acme".into(), payload: vec![b'x'; 96].into(), ..letter(offset, 0) }
}

async fn room_for(letters: i64) -> (Database, Store) {
    let database = Database::empty().await;
    let max_letter_bytes = u64::try_from(letters * LETTER).unwrap();
    let store = open(Config { max_letter_bytes, ..database.config() }).await;
    begin(&store, 2).await;
    (database, store)
}

async fn flush(store: &Store, from: i64, number: i64) -> Result<store::Flushed, FlushError> {
    store.flush(letters(0, from, (from..from + number).map(of_100_bytes).collect())).await
}

async fn give_up_all(store: &Store) {
    for due in store.due_letters(at(0), 1_000).await.unwrap() {
        assert!(store.settle(&due, Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap());
    }
}

/// Publishes all that is given up, so many letters at a time.
async fn publish_all(store: &Store, at_a_time: usize) {
    while let Some(publication) = store.publication(at_a_time).await.unwrap() {
        assert!(store.published(publication.number).await.unwrap());
    }
}

async fn counts_are_right(database: &Database) {
    assert_eq!(database.number(COUNTED).await, database.number(PLAIN).await);
    assert_eq!(database.number(PUBLISHED).await, database.number(PLAIN_PUBLISHED).await);
}

#[tokio::test]
async fn letters_beyond_the_bound_hold_their_partition_until_some_are_published() {
    let (database, store) = room_for(10).await;
    flush(&store, 0, 10).await.unwrap();
    match flush(&store, 10, 1).await {
        Err(FlushError::Outage(reason)) => assert!(reason.contains("set aside"), "{reason}"),
        other => panic!("expected an outage, came {other:?}"),
    }
    store.flush(rows(1, 0, vec![event("acme", 1, "whole events go on")])).await.unwrap();
    give_up_all(&store).await;
    store.maintain(Timestamp::now()).await.unwrap();
    assert!(flush(&store, 10, 1).await.is_err(), "given up, but not published");
    assert_eq!(
        database.number("SELECT count(*) FROM dead_letters").await,
        10,
        "nothing unpublished is deleted"
    );
    publish_all(&store, 4).await;
    store.maintain(Timestamp::now()).await.unwrap();
    flush(&store, 10, 1).await.unwrap();
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.dead_lettered, row.is_balanced()), (11, true), "the ledger counts what was deleted, too");
    counts_are_right(&database).await;
}

#[tokio::test]
async fn the_oldest_published_letters_make_room() {
    let (database, store) = room_for(10).await;
    for round in 0..5 {
        flush(&store, round * 6, 6).await.unwrap();
        give_up_all(&store).await;
        publish_all(&store, 3).await;
        assert!(database.number(COUNTED).await <= 10 * LETTER);
        counts_are_right(&database).await;
    }
    assert_eq!(database.number("SELECT count(*) FROM dead_letters").await, 10);
    assert_eq!(database.number("SELECT min(\"offset\") FROM dead_letters").await, 20, "the newest are kept");

    // A process with less room, as after a change of its settings.
    let less = open(Config { max_letter_bytes: 350, ..database.config() }).await;
    let room = less.maintain(Timestamp::now()).await.unwrap();
    // Already done when it was opened.
    assert_eq!(room.deleted_letters, 0);
    assert_eq!(database.number("SELECT count(*) FROM dead_letters").await, 3);
    counts_are_right(&database).await;
}

/// Also those of somebody at a shell: a count that is wrong for ever would hold partitions for ever.
#[tokio::test]
async fn whatever_changes_the_letters_the_counts_follow() {
    let (database, store) = room_for(1_000).await;
    flush(&store, 0, 20).await.unwrap();
    store.flush(letters(1, 0, (0..20).map(of_100_bytes).collect())).await.unwrap();
    counts_are_right(&database).await;
    let due = store.due_letters(at(0), 5).await.unwrap();
    let retry = Outcome::Retry { at: at(0), refusal: refusal("again") };
    assert!(store.settle(&due[0], retry).await.unwrap());
    let stored = Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    assert!(store.settle(&due[1], stored).await.unwrap());
    counts_are_right(&database).await;
    give_up_all(&store).await;
    let publication = store.publication(30).await.unwrap().unwrap();
    counts_are_right(&database).await;
    assert!(store.published(publication.number).await.unwrap());
    assert_eq!(database.number(PUBLISHED).await, 30 * LETTER);
    counts_are_right(&database).await;
    database.run("DELETE FROM dead_letters WHERE \"offset\" % 3 = 0").await;
    counts_are_right(&database).await;
    database.run("TRUNCATE dead_letters").await;
    counts_are_right(&database).await;
    assert_eq!(database.number(COUNTED).await, 0);
}
