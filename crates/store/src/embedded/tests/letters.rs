use super::*;

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos).unwrap()
}

#[tokio::test]
async fn letters_are_due_in_order_and_only_when_their_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    assert_eq!(store.next_due(at(0)).await.unwrap(), None);
    store.flush(letters(0, 0, vec![letter(0, 300), letter(1, 100), letter(2, 200)])).await.unwrap();
    assert_eq!(store.next_due(at(40)).await.unwrap(), Some(Duration::from_nanos(60)));
    assert_eq!(store.next_due(at(150)).await.unwrap(), Some(Duration::ZERO));
    let due = store.due_letters(at(200), 10).await.unwrap();
    assert_eq!(due.iter().map(|letter| letter.offset).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((&due[0].payload[..], due[0].attempts), (&b"broken 1"[..], 1));
    let first = store.due_letters(at(999), 1).await.unwrap();
    assert_eq!(first.iter().map(|letter| letter.offset).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_letter_is_settled_once_whoever_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    store.flush(letters(0, 0, vec![letter(0, 0)])).await.unwrap();
    let seen_by_both = store.due_letters(at(0), 1).await.unwrap().remove(0);
    let later = Outcome::Retry { at: at(50), refusal: refusal("again") };
    assert!(store.settle(&seen_by_both, later).await.unwrap());
    let dead = || Outcome::Dead { refusal: refusal("still not JSON") };
    assert!(
        !store.settle(&seen_by_both, dead()).await.unwrap(),
        "the other one has an old count of attempts"
    );
    let again = store.due_letters(at(50), 1).await.unwrap().remove(0);
    assert_eq!(again.attempts, 2);
    assert!(store.settle(&again, dead()).await.unwrap());
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.dead_lettered, row.retrying, row.stored), (1, 0, 0));
    assert!(store.due_letters(at(1_000), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_letter_whose_row_is_refused_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    store.flush(letters(0, 0, vec![letter(0, 0)])).await.unwrap();
    let due = store.due_letters(at(0), 1).await.unwrap().remove(0);
    let nul = Outcome::Stored(Box::new(event("acme", 1, "\0")));
    assert!(matches!(store.settle(&due, nul).await, Err(FlushError::Refused(_))));
    assert_eq!(ledger_of(&store, 0).await.retrying, 1);
    let good = Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    assert!(store.settle(&due, good).await.unwrap());
    assert_eq!(messages(&store, "acme").await, ["repaired"]);
}

#[tokio::test]
async fn too_many_letters_hold_the_partition_until_some_are_settled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(&dir, Config { max_letter_bytes: 100, ..Config::default() });
    begin(&store, 1).await;
    store.flush(letters(0, 0, (0..10).map(|n| letter(n, 0)).collect())).await.unwrap();
    match store.flush(letters(0, 10, vec![letter(10, 0)])).await {
        Err(FlushError::Outage(reason)) => assert!(reason.contains("set aside"), "{reason}"),
        other => panic!("expected an outage, came {other:?}"),
    }
    store.flush(rows(0, 10, vec![event("acme", 1, "whole events go on")])).await.unwrap();
    for due in store.due_letters(at(0), 10).await.unwrap() {
        store.settle(&due, Outcome::Dead { refusal: refusal("") }).await.unwrap();
    }
    store.flush(letters(0, 11, vec![letter(11, 0)])).await.unwrap();
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.dead_lettered, row.retrying), (11, 1), "the ledger counts what was deleted, too");
}
