use crate::support::*;
use proptest::prelude::*;
use record::{Level, LogRecord, Timestamp, Uuid};
use serde_json::value::RawValue;
use store::{Flush, FlushError, LedgerRow, Outcome, PartitionKey, Position, Query, Sink, postgres::Store};

#[tokio::test]
async fn a_flush_stores_its_rows_and_moves_the_position_for_whoever_comes_next() {
    let (database, store) = store().await;
    let asked = [Position { of: of(0), next: 40 }];
    assert_eq!(store.positions(&asked).await.unwrap(), asked);
    store.flush(rows(0, 40, vec![event("acme", 1, "one"), event("acme", 2, "two")])).await.unwrap();
    store.close().await;
    let store = Store::open(database.config()).unwrap();
    let asked = [Position { of: of(1), next: 5 }, Position { of: of(0), next: 0 }];
    let known = store.positions(&asked).await.unwrap();
    assert_eq!(known, [asked[0], Position { of: of(0), next: 42 }], "in the order asked");
    assert_eq!(messages(&store, "acme").await, ["two", "one"]);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.start, row.next, row.stored, row.is_balanced()), (40, 42, 2, true));
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_stored_whatever_it_holds() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let full = LogRecord {
        level: Level::Fatal,
        trace_id: Some("00f067aa0ba902b7".into()),
        span_id: Some(String::new()),
        // Text, so that not even the order of keys and the zeros of numbers change.
        attributes: Some(
            RawValue::from_string(r#"{"b": 1.50, "a":"\u0000 \ud800", "b": 2}"#.into()).unwrap(),
        ),
        ..event("acme", 1_700_000_000_123_456_789, "line\n\ttab \u{1F980} \\N % _")
    };
    let bare = LogRecord { id: Uuid::from_u128(u128::MAX), service: String::new(), ..event("acme", 0, "") };
    let long = event("acme", Timestamp::MAX.as_nanos(), &"é".repeat(128 * 1024));
    let events = vec![bare, full, long];
    store.flush(rows(0, 0, events.clone())).await.unwrap();
    for event in events {
        let stored = store.get(&event.organization_id, event.id).await.unwrap().unwrap();
        assert_eq!(stored.to_json(), event.to_json());
    }
}

#[tokio::test]
async fn whoever_lost_the_partition_stores_nothing() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(rows(0, 0, vec![event("acme", 1, "owner's")])).await.unwrap();
    match store.flush(rows(0, 0, vec![event("acme", 1, "zombie's")])).await {
        Err(FlushError::Moved { expected: 0, found: 1, .. }) => {}
        other => panic!("expected Moved, came {other:?}"),
    }
    match store.flush(rows(9, 0, vec![event("acme", 1, "nobody's")])).await {
        Err(FlushError::Moved { expected: 0, found: -1, .. }) => {}
        other => panic!("expected Moved, came {other:?}"),
    }
    assert_eq!(messages(&store, "acme").await, ["owner's"]);
    assert_eq!(ledger_of(&store, of(0)).await.stored, 1);
}

/// Both believe to own the partition, as after a rebalance that one of them did not hear of.
#[tokio::test]
async fn of_two_owners_that_flush_the_same_at_one_time_one_stores() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let other = Store::open(database.config()).unwrap();
    for round in 0..20 {
        let flush = |name: &str| {
            let events = (0..50).map(|n| event("acme", n, name)).collect();
            rows(0, round * 50, events)
        };
        match tokio::join!(store.flush(flush("one")), other.flush(flush("other"))) {
            (Ok(_), Err(FlushError::Moved { found, .. })) | (Err(FlushError::Moved { found, .. }), Ok(_)) => {
                assert_eq!(found, (round + 1) * 50);
            }
            outcomes => panic!("expected that one stores, came {outcomes:?}"),
        }
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 1_000);
}

#[tokio::test]
async fn partitions_flush_beside_each_other() {
    let (database, store) = store().await;
    begin(&store, 6).await;
    let flushing = (0..6).map(|partition| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let events = (0..100).map(|n| event("acme", n, "m")).collect();
                store.flush(rows(partition, round * 100, events)).await.unwrap();
            }
        })
    });
    for task in flushing.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 6_000);
    assert!(store.ledger().await.unwrap().iter().all(|row| row.is_balanced() && row.stored == 1_000));
}

#[derive(Debug, Clone)]
enum Step {
    /// With the first event of all sent once more, or not.
    Flush {
        rows: usize,
        again: bool,
        letters: usize,
        skipped: i64,
        lost: i64,
        stale: bool,
    },
    Settle {
        stored: bool,
        give_up: bool,
    },
    /// The partition loses so many offsets.
    LoseEnd(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flush = (0..4_usize, any::<bool>(), 0..3_usize, 0..3_i64, 0..3_i64, any::<bool>()).prop_map(
        |(rows, again, letters, skipped, lost, stale)| Step::Flush {
            rows,
            again,
            letters,
            skipped,
            lost,
            stale,
        },
    );
    let settle =
        (any::<bool>(), any::<bool>()).prop_map(|(stored, give_up)| Step::Settle { stored, give_up });
    proptest::collection::vec(
        prop_oneof![4 => flush, 2 => settle, 1 => (0..3_i64).prop_map(Step::LoseEnd)],
        1..40,
    )
}

/// Whatever is flushed, by owners and by zombies, and however letters end: the ledger adds up after each step, and says
/// how many rows there are.
#[test]
fn the_ledger_always_adds_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, store) = runtime.block_on(store());
    proptest!(ProptestConfig::with_cases(24), |(steps in steps())| {
        runtime.block_on(adds_up(&store, steps));
    });
}

async fn adds_up(store: &Store, steps: Vec<Step>) {
    // Each case has a topic and an organisation of its own.
    let mut of = PartitionKey { topic: Uuid::now_v7(), partition: 0, epoch: 0 };
    let organization = of.topic.to_string();
    store.positions(&[Position { of, next: 0 }]).await.unwrap();
    let now = at(1_000);
    let first = event(&organization, 5, "first");
    let mut next = 0;
    for step in steps {
        match step {
            Step::Flush { rows, again, letters, skipped, lost, stale } => {
                let mut events: Vec<_> = (0..rows).map(|_| event(&organization, 5, "m")).collect();
                events.extend(again.then(|| first.clone()));
                let length = (events.len() + letters) as i64 + skipped + lost;
                let flush = Flush {
                    of,
                    expected: if stale { next - 1 } else { next },
                    next: next - i64::from(stale) + length,
                    rows: events,
                    letters: (0..letters as i64).map(|n| letter(next + n, 0)).collect(),
                    skipped,
                    lost,
                };
                match store.flush(flush).await {
                    Ok(_) => next += length,
                    Err(FlushError::Moved { .. }) => assert!(stale),
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Settle { stored, give_up } => {
                let due = store.due_letters(now, 100).await.unwrap();
                let Some(due) = due.iter().find(|letter| letter.of.topic == of.topic) else { continue };
                let refusal = refusal("");
                let outcome = match (stored, give_up) {
                    (true, _) => Outcome::Stored(Box::new(event(&organization, 5, "late"))),
                    (false, true) => Outcome::Dead { refusal },
                    (false, false) => Outcome::Retry { at: now, refusal },
                };
                assert!(store.settle(due, outcome.clone()).await.unwrap());
                assert!(!store.settle(due, outcome).await.unwrap(), "settled twice");
            }
            Step::LoseEnd(lost) => {
                let end = (next - lost).max(0);
                let begun = store.begin_epoch(Position { of, next }, end, end).await.unwrap();
                (of, next) = (begun.of, begun.next);
            }
        }
        let ledger: Vec<_> =
            store.ledger().await.unwrap().into_iter().filter(|row| row.topic == of.topic).collect();
        assert!(ledger.iter().all(LedgerRow::is_balanced), "{ledger:?}");
        assert_eq!(ledger.last().map(|row| (row.epoch, row.next)), Some((of.epoch, next)));
        let rows: i64 = ledger.iter().map(|row| row.stored - row.duplicates).sum();
        assert_eq!(messages(store, &organization).await.len() as i64, rows);
    }
    // None of this case's letters is left for the next.
    for due in store.due_letters(now, 100).await.unwrap() {
        store.settle(&due, Outcome::Dead { refusal: refusal("") }).await.unwrap();
    }
}
