use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn a_flush_stores_its_rows_and_moves_the_position_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let asked = [Position { of: of(0), next: 40 }];
    assert_eq!(store.positions(&asked).await.unwrap(), asked);
    store.flush(rows(0, 40, vec![event("acme", 1, "one"), event("acme", 2, "two")])).await.unwrap();
    store.close().await;
    let store = open(&dir);
    let known = store.positions(&[Position { of: of(0), next: 0 }]).await.unwrap();
    assert_eq!(known, [Position { of: of(0), next: 42 }]);
    assert_eq!(messages(&store, "acme").await, ["two", "one"]);
    let row = ledger_of(&store, 0).await;
    assert_eq!((row.start, row.next, row.stored, row.is_balanced()), (40, 42, 2, true));
}

#[tokio::test]
async fn whoever_lost_the_partition_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    store.flush(rows(0, 0, vec![event("acme", 1, "owner's")])).await.unwrap();
    match store.flush(rows(0, 0, vec![event("acme", 1, "zombie's")])).await {
        Err(FlushError::Moved { expected: 0, found: 1, .. }) => {}
        other => panic!("expected Moved, came {other:?}"),
    }
    assert_eq!(messages(&store, "acme").await, ["owner's"]);
    assert_eq!(ledger_of(&store, 0).await.stored, 1);
}

#[tokio::test]
async fn what_one_flush_is_refused_for_harms_no_other_of_the_same_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 3).await;
    // One piece of work keeps the thread busy until all three flushes wait for one transaction.
    let (go, held) = std::sync::mpsc::channel::<()>();
    let hold = store.writer.submit(move |_| {
        let _: () = held.recv().unwrap();
        Ok(())
    });
    let flushes = async {
        tokio::join!(
            store.flush(rows(0, 0, vec![event("new-0", 1, "first")])),
            store.flush(rows(1, 0, vec![event("new-1", 1, "good"), event("new-2", 1, "nul \0")])),
            store.flush(rows(2, 0, vec![event("new-2", 1, "last")])),
            async { go.send(()).unwrap() },
        )
    };
    let (hold, (first, broken, last, ())) = tokio::join!(hold, flushes);
    hold.unwrap();
    first.unwrap();
    last.unwrap();
    match broken {
        Err(FlushError::Refused(Refusal { reason, .. })) => {
            assert!(reason.contains("message contains U+0000"), "{reason}");
        }
        other => panic!("expected Refused, came {other:?}"),
    }
    assert_eq!(messages(&store, "new-0").await, ["first"]);
    assert!(messages(&store, "new-1").await.is_empty());
    assert_eq!(messages(&store, "new-2").await, ["last"]);
    assert_eq!(ledger_of(&store, 1).await.next, 0);
}

#[tokio::test]
async fn a_full_disk_is_an_outage_that_ends_by_itself_and_stores_nothing_by_halves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 2).await;
    let limit = |pages: i64| {
        store
            .writer
            .submit(move |session| Ok(session.connection.pragma_update(None, "max_page_count", pages)?))
    };
    limit(30).await.unwrap();
    let large = || {
        let events = (0..200).map(|n| event("acme", n, &"x".repeat(5_000))).collect();
        rows(0, 0, events)
    };
    match store.flush(large()).await {
        Err(FlushError::Outage(reason)) => assert!(reason.contains("free some space"), "{reason}"),
        other => panic!("expected an outage, came {other:?}"),
    }
    assert_eq!(ledger_of(&store, 0).await.next, 0);
    assert!(messages(&store, "acme").await.is_empty());
    // The connection was opened anew, and with it the limit is gone.
    store.flush(large()).await.unwrap();
    assert_eq!(messages(&store, "acme").await.len(), 200);
}

#[tokio::test]
async fn a_flush_that_does_not_add_up_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let flush = Flush { next: 5, ..rows(0, 0, vec![event("acme", 1, "one")]) };
    match store.flush(flush).await {
        Err(FlushError::Refused(Refusal { reason, .. })) => {
            assert!(reason.contains("ledger_balances"), "{reason}");
        }
        other => panic!("expected Refused, came {other:?}"),
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is flushed, by owners and by zombies, and however letters end: the ledger adds up after each step,
    /// and says how many rows there are.
    #[test]
    fn the_ledger_always_adds_up(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = open(&dir);
            begin(&store, 1).await;
            let now = Timestamp::from_nanos(1_000).unwrap();
            let first = event("acme", 5, "first");
            let (mut of, mut next) = (of(0), 0);
            for step in steps {
                match step {
                    Step::Flush { rows, again, letters, skipped, lost, stale } => {
                        let mut events: Vec<_> = (0..rows).map(|_| event("acme", 5, "m")).collect();
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
                        let due = store.due_letters(now, 1).await.unwrap();
                        let Some(due) = due.first() else { continue };
                        let refusal = refusal("");
                        let outcome = match (stored, give_up) {
                            (true, _) => Outcome::Stored(Box::new(event("acme", 5, "late"))),
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
                let ledger = store.ledger().await.unwrap();
                assert!(ledger.iter().all(LedgerRow::is_balanced), "{ledger:?}");
                assert_eq!(ledger.last().map(|row| (row.epoch, row.next)), Some((of.epoch, next)));
                let rows: i64 = ledger.iter().map(|row| row.stored - row.duplicates).sum();
                assert_eq!(messages(&store, "acme").await.len() as i64, rows);
            }
        });
    }
}
