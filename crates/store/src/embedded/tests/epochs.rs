//! Partitions that lost their end: offsets that mean other records from then on.

use super::*;

fn in_epoch(epoch: i32) -> PartitionKey {
    PartitionKey { epoch, ..of(0) }
}

/// A flush of rows only, in an epoch of the partition 0.
fn epoch_rows(epoch: i32, expected: i64, events: Vec<LogRecord>) -> Flush {
    Flush { of: in_epoch(epoch), ..rows(0, expected, events) }
}

#[tokio::test]
async fn a_new_epoch_has_a_row_of_its_own_and_is_what_everybody_hears_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let unknown = store.positions(&[Position { of: in_epoch(3), next: 0 }]).await.unwrap();
    assert_eq!(unknown, [Position { of: in_epoch(0), next: 0 }]);
    store.flush(rows(0, 0, (0..10).map(|n| event("acme", n, &n.to_string())).collect())).await.unwrap();
    let begun = store.begin_epoch(Position { of: of(0), next: 10 }, 4, 4).await.unwrap();
    assert_eq!(begun, Position { of: in_epoch(1), next: 4 });
    store.close().await;
    let store = open(&dir);
    for asked in [0, 1, 7].map(in_epoch) {
        let answer = store.positions(&[Position { of: asked, next: 99 }]).await.unwrap();
        assert_eq!(answer, [begun], "asked with {asked:?}");
    }
    // Over the offsets that it stored before, up to the very position of the epoch before, and on.
    for expected in 4..12 {
        store.flush(epoch_rows(1, expected, vec![event("acme", 50 + expected, "again")])).await.unwrap();
    }
    let rows = store.ledger().await.unwrap();
    let summary: Vec<_> = rows.iter().map(|row| (row.epoch, row.start, row.next, row.stored)).collect();
    assert_eq!(summary, [(0, 0, 10, 10), (1, 4, 12, 8)]);
    assert!(rows.iter().all(LedgerRow::is_balanced), "{rows:?}");
    assert_eq!(messages(&store, "acme").await.len(), 18);
}

#[tokio::test]
async fn whoever_works_for_an_epoch_that_ended_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
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
    assert_eq!(store.ledger().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_letter_counts_in_the_epoch_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let now = Timestamp::from_nanos(1).unwrap();
    store.flush(letters(0, 0, vec![letter(0, 0), letter(1, 0)])).await.unwrap();
    store.begin_epoch(Position { of: of(0), next: 2 }, 0, 0).await.unwrap();
    store.flush(Flush { of: in_epoch(1), ..letters(0, 0, vec![letter(0, 1)]) }).await.unwrap();
    let due = store.due_letters(now, 10).await.unwrap();
    let seen: Vec<_> = due.iter().map(|letter| (letter.of.epoch, letter.offset)).collect();
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0)]);
    let stored = Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    assert!(store.settle(&due[0], stored).await.unwrap());
    assert!(store.settle(&due[1], Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap());
    let rows = store.ledger().await.unwrap();
    let summary: Vec<_> = rows.iter().map(|row| (row.stored, row.dead_lettered, row.retrying)).collect();
    assert_eq!(summary, [(1, 1, 0), (0, 1, 1)]);
    assert!(rows.iter().all(LedgerRow::is_balanced), "{rows:?}");
}

/// Its client did not hear our answer, because the leader that had its event was lost.
#[tokio::test]
async fn what_an_epoch_stored_is_known_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let events: Vec<_> = (0..6).map(|n| event("acme", n, &format!("event {n}"))).collect();
    store.flush(rows(0, 0, events.clone())).await.unwrap();
    store.begin_epoch(Position { of: of(0), next: 6 }, 3, 3).await.unwrap();
    let again = [&events[4..], &[event("acme", 50, "new")]].concat();
    assert_eq!(store.flush(epoch_rows(1, 3, again)).await.unwrap(), Flushed { duplicates: 2 });
    assert_eq!(messages(&store, "acme").await.len(), 7);
}

/// The log was cut back to 6 and has 8 again: whoever looks sees the end only, and 6 and 7 are new.
#[tokio::test]
async fn a_new_epoch_begins_as_far_back_as_the_ids_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let events: Vec<_> = (0..10).map(|n| event("acme", n, &format!("event {n}"))).collect();
    store.flush(rows(0, 0, events.clone())).await.unwrap();
    let begun = store.begin_epoch(Position { of: of(0), next: 10 }, 2, 8).await.unwrap();
    assert_eq!(begun, Position { of: in_epoch(1), next: 2 }, "not before the log's start");
    let held = [&events[2..6], &[event("acme", 50, "new"), event("acme", 51, "new too")]].concat();
    assert_eq!(store.flush(epoch_rows(1, 2, held)).await.unwrap(), Flushed { duplicates: 4 });
    assert_eq!(messages(&store, "acme").await.len(), 12);
}
