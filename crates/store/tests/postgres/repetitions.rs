//! Events that a client sends again because it did not hear our answer.

use crate::support::*;
use record::LogRecord;
use store::{Flushed, Outcome, Sink, postgres::Config, postgres::Store};

#[tokio::test]
async fn an_event_that_is_sent_again_is_there_once_and_the_ledger_counts_it() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let events: Vec<_> = (0..10).map(|n| event("acme", n, &format!("event {n}"))).collect();
    store.flush(rows(0, 0, events.clone())).await.unwrap();
    // Half of it again, and once more within the same flush.
    let again = [&events[5..], &[event("acme", 99, "new")], &events[..1]].concat();
    let flushed = store.flush(rows(0, 10, [again.clone(), again].concat())).await.unwrap();
    assert_eq!(flushed, Flushed { duplicates: 13 });
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 11);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.stored, row.duplicates, row.next, row.is_balanced()), (24, 13, 24, true));
}

#[tokio::test]
async fn the_next_owner_of_the_partition_knows_what_was_stored() {
    let (database, first) = store().await;
    begin(&first, 1).await;
    let one = event("acme", 1, "one");
    first.flush(rows(0, 0, vec![one.clone()])).await.unwrap();
    let next = Store::open(database.config()).unwrap();
    next.flush(rows(0, 1, vec![one.clone(), event("acme", 2, "two")])).await.unwrap();
    // And the first again, whose memory is behind now.
    let two = messages(&next, "acme").await;
    assert_eq!(two, ["two", "one"]);
    first.flush(rows(0, 3, vec![one.clone(), event("acme", 3, "three")])).await.unwrap();
    assert_eq!(messages(&next, "acme").await, ["three", "two", "one"]);
}

#[tokio::test]
async fn the_same_id_in_another_organisation_is_another_event() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let ours = event("acme", 1, "ours");
    let theirs = LogRecord { id: ours.id, ..event("other", 1, "theirs") };
    store.flush(rows(0, 0, vec![ours, theirs])).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["ours"]);
    assert_eq!(messages(&store, "other").await, ["theirs"]);
}

#[tokio::test]
async fn what_a_refused_flush_had_is_no_repetition() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let good = event("acme", 1, "good");
    let broken = event("acme", 2, "\0");
    assert!(store.flush(rows(0, 0, vec![good.clone(), broken])).await.is_err());
    store.flush(rows(0, 0, vec![good])).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["good"]);
}

#[tokio::test]
async fn only_so_many_ids_are_remembered() {
    let database = Database::empty().await;
    let store = open(Config { remembered_ids: 100, ..database.config() }).await;
    begin(&store, 1).await;
    let events: Vec<_> = (0..1_000).map(|n| event("acme", n, "m")).collect();
    for (number, chunk) in (0..).zip(events.chunks(50)) {
        store.flush(rows(0, number * 50, chunk.to_vec())).await.unwrap();
    }
    let kept = database.number("SELECT sum(length(ids)) / 24 FROM recent_ids").await;
    assert!((100..=150).contains(&kept), "{kept} ids are kept");
    store.flush(rows(0, 1_000, events[900..].to_vec())).await.unwrap();
    assert_eq!(database.number("SELECT duplicates FROM consumer_offsets").await, 100);
    let off = open(Config { remembered_ids: 0, ..database.config() }).await;
    off.flush(rows(0, 1_100, events[..10].to_vec())).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 1_010);
}

/// As somebody does who wants a partition read again from an earlier offset.
#[tokio::test]
async fn a_position_that_was_set_back_is_stored_from_again() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    store.flush(rows(0, 0, vec![event("acme", 1, "first")])).await.unwrap();
    database.run("UPDATE consumer_offsets SET next_offset = 0, stored = 0").await;
    store.flush(rows(0, 0, vec![event("acme", 2, "again")])).await.unwrap();
    store.flush(rows(0, 1, vec![event("acme", 3, "and on")])).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["and on", "again", "first"]);
}

#[tokio::test]
async fn a_letter_that_repeats_a_stored_event_brings_no_row() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let one = event("acme", 1, "one");
    store.flush(rows(0, 0, vec![one.clone()])).await.unwrap();
    store.flush(letters(0, 1, vec![letter(1, 0)])).await.unwrap();
    // Another process tries it again, which never had the partition.
    let other = Store::open(database.config()).unwrap();
    let due = other.due_letters(at(0), 1).await.unwrap().remove(0);
    assert!(other.settle(&due, Outcome::Stored(Box::new(one))).await.unwrap());
    assert_eq!(messages(&store, "acme").await, ["one"]);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.stored, row.duplicates, row.dead_lettered, row.is_balanced()), (2, 1, 0, true));
}

#[tokio::test]
async fn an_event_that_a_retry_stored_is_known_to_who_has_the_partition() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let late = event("acme", 1, "late");
    store.flush(letters(0, 0, vec![letter(0, 0), letter(1, 0)])).await.unwrap();
    store.flush(rows(0, 2, vec![event("acme", 2, "fills the memory")])).await.unwrap();
    let other = Store::open(database.config()).unwrap();
    // The same event twice, as when its client sends it again while it is refused.
    for due in other.due_letters(at(0), 2).await.unwrap() {
        assert!(other.settle(&due, Outcome::Stored(Box::new(late.clone()))).await.unwrap());
    }
    assert_eq!(ledger_of(&store, of(0)).await.duplicates, 1);
    for offset in 3..5 {
        assert_eq!(store.flush(rows(0, offset, vec![late.clone()])).await.unwrap().duplicates, 1);
    }
    let new = store.flush(rows(0, 5, vec![event("acme", 3, "new")])).await.unwrap();
    assert_eq!(new.duplicates, 0);
    assert_eq!(messages(&store, "acme").await, ["new", "fills the memory", "late"]);
    assert!(ledger_of(&store, of(0)).await.is_balanced());
}

/// A flush that is under way while a retry stores the same event: whoever has the row of the partition second knows.
#[tokio::test]
async fn a_retry_and_a_flush_of_the_same_event_at_one_time_bring_one_row() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let other = Store::open(database.config()).unwrap();
    for round in 0..20 {
        let twice = event("acme", round, "m");
        store.flush(letters(0, round * 2, vec![letter(round * 2, 0)])).await.unwrap();
        let due = other.due_letters(at(0), 1).await.unwrap().remove(0);
        let (settled, flushed) = tokio::join!(
            other.settle(&due, Outcome::Stored(Box::new(twice.clone()))),
            store.flush(rows(0, round * 2 + 1, vec![twice.clone()])),
        );
        assert!(settled.unwrap() && flushed.is_ok());
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 20);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.stored, row.duplicates, row.is_balanced()), (40, 20, true));
}
