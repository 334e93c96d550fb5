//! Events that a client sends again because it did not hear our answer.

use super::*;

/// Events that statistics count.
async fn counted(store: &Store, organization: &str) -> u64 {
    let question =
        StatsQuestion { filter: everything(organization), interval: Duration::from_secs(60), budget: BUDGET };
    let answer = store.stats(question).await.unwrap();
    answer.buckets.iter().flat_map(|bucket| bucket.by_level.values()).sum()
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_there_once_and_the_ledger_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 2).await;
    let events: Vec<_> = (0..10).map(|n| event("acme", n, &format!("event {n}"))).collect();
    assert_eq!(store.flush(rows(0, 0, events.clone())).await.unwrap(), Flushed { duplicates: 0 });
    store.close().await;
    let store = open(&dir);
    // Half of it again, and once more within the same flush.
    let again = [&events[5..], &[event("acme", 99, "new")], &events[..1]].concat();
    let flushed = store.flush(rows(0, 10, [again.clone(), again].concat())).await.unwrap();
    assert_eq!(flushed, Flushed { duplicates: 13 });
    assert_eq!(messages(&store, "acme").await.len(), 11);
    assert_eq!(counted(&store, "acme").await, 11);
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.stored, row.duplicates, row.next, row.is_balanced()), (24, 13, 24, true));
}

#[tokio::test]
async fn the_same_id_in_another_organisation_is_another_event() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let ours = event("acme", 1, "ours");
    let theirs = LogRecord { id: ours.id, ..event("other", 1, "theirs") };
    assert_eq!(store.flush(rows(0, 0, vec![ours, theirs])).await.unwrap(), Flushed { duplicates: 0 });
    assert_eq!(messages(&store, "acme").await, ["ours"]);
    assert_eq!(messages(&store, "other").await, ["theirs"]);
}

#[tokio::test]
async fn what_a_refused_flush_had_is_no_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let good = event("acme", 1, "good");
    assert!(store.flush(rows(0, 0, vec![good.clone(), event("acme", 2, "\0")])).await.is_err());
    assert_eq!(store.flush(rows(0, 0, vec![good])).await.unwrap(), Flushed { duplicates: 0 });
    assert_eq!(messages(&store, "acme").await, ["good"]);
}

#[tokio::test]
async fn letters_and_events_that_repeat_each_other_bring_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let (one, late) = (event("acme", 1, "one"), event("acme", 2, "late"));
    store.flush(rows(0, 0, vec![one.clone()])).await.unwrap();
    store.flush(letters(0, 1, (1..4).map(|offset| letter(offset, 0)).collect())).await.unwrap();
    let due = store.due_letters(Timestamp::from_nanos(0).unwrap(), 3).await.unwrap();
    for (letter, event) in due.iter().zip([&one, &late, &late]) {
        assert!(store.settle(letter, Outcome::Stored(Box::new(event.clone()))).await.unwrap());
    }
    assert_eq!(store.flush(rows(0, 4, vec![late])).await.unwrap(), Flushed { duplicates: 1 });
    assert_eq!(messages(&store, "acme").await, ["late", "one"]);
    assert_eq!(counted(&store, "acme").await, 2);
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.stored, row.duplicates, row.dead_lettered, row.is_balanced()), (5, 3, 0, true));
}
