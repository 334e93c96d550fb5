//! Partitions that lost their end: offsets that mean other records from then on.

use crate::support::*;
use record::LogRecord;
use store::{
    FlushError, LedgerRow, NewLetter, Outcome, PartitionKey, Position, Query, Sink,
    postgres::{Config, Store},
};

fn in_epoch(epoch: i32) -> PartitionKey {
    PartitionKey { epoch, ..of(0) }
}

/// A flush of rows only, in an epoch of the partition 0.
fn epoch_rows(epoch: i32, expected: i64, events: Vec<LogRecord>) -> store::Flush {
    store::Flush { of: in_epoch(epoch), ..rows(0, expected, events) }
}

async fn epochs(store: &Store) -> Vec<LedgerRow> {
    store.ledger().await.unwrap()
}

#[tokio::test]
async fn a_new_epoch_has_a_row_of_its_own_and_is_what_everybody_hears_of() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(rows(0, 0, (0..10).map(|n| event("acme", n, &n.to_string())).collect())).await.unwrap();
    let begun = store.begin_epoch(Position { of: of(0), next: 10 }, 4, 4).await.unwrap();
    assert_eq!(begun, Position { of: in_epoch(1), next: 4 });
    for asked in [0, 1, 7].map(in_epoch) {
        let answer = store.positions(&[Position { of: asked, next: 99 }]).await.unwrap();
        assert_eq!(answer, [begun], "asked with {asked:?}");
    }
    // Over the offsets that it stored before, up to the very position of the epoch before, and on.
    for expected in 4..12 {
        store.flush(epoch_rows(1, expected, vec![event("acme", 50 + expected, "again")])).await.unwrap();
    }
    let rows = epochs(&store).await;
    let summary: Vec<_> = rows.iter().map(|row| (row.epoch, row.start, row.next, row.stored)).collect();
    assert_eq!(summary, [(0, 0, 10, 10), (1, 4, 12, 8)]);
    assert!(rows.iter().all(LedgerRow::is_balanced), "{rows:?}");
    assert_eq!(messages(&store, "acme").await.len(), 18);
}

#[tokio::test]
async fn an_unknown_partition_begins_in_epoch_0_whatever_it_is_asked_with() {
    let (_database, store) = store().await;
    let answer = store.positions(&[Position { of: in_epoch(3), next: 5 }]).await.unwrap();
    assert_eq!(answer, [Position { of: in_epoch(0), next: 5 }]);
}

#[tokio::test]
async fn whoever_works_for_an_epoch_that_ended_stores_nothing() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    store.flush(rows(0, 0, vec![event("acme", 1, "kept")])).await.unwrap();
    store.begin_epoch(Position { of: of(0), next: 1 }, 1, 1).await.unwrap();
    // The row of its epoch still has the position that it expects.
    match store.flush(rows(0, 1, vec![event("acme", 2, "zombie's")])).await {
        Err(FlushError::Moved { expected: 1, found: -1, .. }) => {}
        other => panic!("expected Moved, came {other:?}"),
    }
    for (stored, name) in [(of(0), "ended"), (in_epoch(2), "never begun")] {
        let begun = store.begin_epoch(Position { of: stored, next: 1 }, 0, 0).await;
        assert!(matches!(begun, Err(FlushError::Moved { found: -1, .. })), "{name}: {begun:?}");
    }
    let moved = store.begin_epoch(Position { of: in_epoch(1), next: 7 }, 0, 0).await;
    assert!(matches!(moved, Err(FlushError::Moved { expected: 7, found: 1, .. })), "{moved:?}");
    assert_eq!(messages(&store, "acme").await, ["kept"]);
    assert_eq!(database.number("SELECT count(*) FROM consumer_offsets").await, 2);
}

/// The flush waits for the transaction that ends its epoch, and looks again when that has committed.
#[tokio::test]
async fn a_flush_under_way_when_its_epoch_ends_stores_nothing() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let mut other = database.connect().await;
    let ends = "BEGIN; UPDATE consumer_offsets SET ended = true WHERE next_offset = 0;
         INSERT INTO consumer_offsets (topic_id, partition, epoch, start_offset, next_offset)
             SELECT topic_id, partition, 1, 0, 0 FROM consumer_offsets";
    sqlx::raw_sql(ends).execute(&mut other).await.unwrap();
    let flushing = tokio::spawn({
        let store = store.clone();
        async move { store.flush(rows(0, 0, vec![event("acme", 1, "zombie's")])).await }
    });
    database.until(WAITING).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let flushed = flushing.await.unwrap();
    assert!(matches!(flushed, Err(FlushError::Moved { found: -1, .. })), "{flushed:?}");
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 0);
}

/// A flush, and two consumers that see the end of the log too early, at one time: one of them has its way.
#[tokio::test]
async fn of_a_flush_and_two_new_epochs_at_one_time_one_happens() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let (one, other) = (Store::open(database.config()).unwrap(), Store::open(database.config()).unwrap());
    let (mut at, mut flushes) = (Position { of: of(0), next: 0 }, 0);
    for round in 0..40 {
        let flush = epoch_rows(at.of.epoch, at.next, vec![event("acme", round, "m")]);
        let (flushed, first, second) = tokio::join!(
            store.flush(flush),
            one.begin_epoch(at, at.next, at.next),
            other.begin_epoch(at, at.next, at.next)
        );
        at = match (flushed, first, second) {
            (Ok(_), Err(FlushError::Moved { .. }), Err(FlushError::Moved { .. })) => {
                flushes += 1;
                Position { next: at.next + 1, ..at }
            }
            (Err(FlushError::Moved { .. }), Ok(begun), Err(FlushError::Moved { .. }))
            | (Err(FlushError::Moved { .. }), Err(FlushError::Moved { .. }), Ok(begun)) => begun,
            outcomes => panic!("expected that one happens, came {outcomes:?}"),
        };
        assert_eq!(store.positions(&[Position { of: of(0), next: 0 }]).await.unwrap(), [at]);
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, flushes);
    assert!(epochs(&store).await.iter().all(LedgerRow::is_balanced));
}

#[tokio::test]
async fn a_letter_counts_in_the_epoch_it_came_from() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, vec![letter(0, 0), letter(1, 0)])).await.unwrap();
    store.begin_epoch(Position { of: of(0), next: 2 }, 0, 0).await.unwrap();
    let same_offset = NewLetter { payload: "another record".into(), ..letter(0, 1) };
    store.flush(store::Flush { of: in_epoch(1), ..letters(0, 0, vec![same_offset]) }).await.unwrap();
    let due = store.due_letters(at(1), 10).await.unwrap();
    let seen: Vec<_> = due.iter().map(|letter| (letter.of.epoch, letter.offset)).collect();
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0)]);
    let stored = Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    assert!(store.settle(&due[0], stored).await.unwrap());
    assert!(store.settle(&due[1], Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap());
    let rows = epochs(&store).await;
    let summary: Vec<_> = rows.iter().map(|row| (row.stored, row.dead_lettered, row.retrying)).collect();
    assert_eq!(summary, [(1, 1, 0), (0, 1, 1)]);
    assert!(rows.iter().all(LedgerRow::is_balanced), "{rows:?}");
}

/// Its client did not hear our answer, because the leader that had its event was lost.
#[tokio::test]
async fn what_an_epoch_stored_is_known_to_the_next_ones() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let events: Vec<_> = (0..6).map(|n| event("acme", n, &format!("event {n}"))).collect();
    for (offset, event) in (0..).zip(&events) {
        store.flush(rows(0, offset, vec![event.clone()])).await.unwrap();
    }
    store.begin_epoch(Position { of: of(0), next: 6 }, 3, 3).await.unwrap();
    // The next owner remembers nothing, and reads what was stored at later offsets than its own.
    for store in [&store, &Store::open(database.config()).unwrap()] {
        let Position { next, .. } = store.positions(&[Position { of: of(0), next: 0 }]).await.unwrap()[0];
        let new = event("acme", 50 + next, "new");
        let again = [&events[4..], &[new]].concat();
        let flushed = store.flush(epoch_rows(1, next, again)).await.unwrap();
        assert_eq!(flushed.duplicates, 2);
    }
    store.begin_epoch(Position { of: in_epoch(1), next: 9 }, 3, 3).await.unwrap();
    let all = [&events[..], &[event("acme", 99, "newest")]].concat();
    assert_eq!(store.flush(epoch_rows(2, 3, all)).await.unwrap().duplicates, 6);
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 9);
}

/// The log was cut back to 6 and has 8 again: whoever looks sees the end only, and 6 and 7 are new.
#[tokio::test]
async fn a_new_epoch_begins_as_far_back_as_the_ids_are_known() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let events: Vec<_> = (0..10).map(|n| event("acme", n, &format!("event {n}"))).collect();
    store.flush(rows(0, 0, events.clone())).await.unwrap();
    let begun = store.begin_epoch(Position { of: of(0), next: 10 }, 2, 8).await.unwrap();
    assert_eq!(begun, Position { of: in_epoch(1), next: 2 }, "not before the log's start");
    let held = [&events[2..6], &[event("acme", 50, "new"), event("acme", 51, "new too")]].concat();
    assert_eq!(store.flush(epoch_rows(1, 2, held)).await.unwrap().duplicates, 4);
    assert_eq!(messages(&store, "acme").await.len(), 12);
}

/// Of the oldest flush that is remembered only the end is known, and of none at all nothing.
#[tokio::test]
async fn a_new_epoch_begins_no_further_back_than_the_ids_are_remembered() {
    for (remembered_ids, begins) in [(10, 10), (0, 12)] {
        let database = Database::empty().await;
        let store = open(Config { remembered_ids, ..database.config() }).await;
        begin(&store, 1).await;
        for from in (0..15).step_by(5) {
            let events = (from..from + 5).map(|n| event("acme", n, "m")).collect();
            store.flush(rows(0, from, events)).await.unwrap();
        }
        let begun = store.begin_epoch(Position { of: of(0), next: 15 }, 0, 12).await.unwrap();
        assert_eq!(begun, Position { of: in_epoch(1), next: begins }, "remembered: {remembered_ids}");
    }
}
