use crate::support::*;
use std::time::Duration;
use store::{FlushError, NewLetter, Outbox, Outcome, Refusal, Sink, postgres::Store};

#[tokio::test]
async fn letters_are_due_in_order_and_only_when_their_time_has_come() {
    let (_database, store) = store().await;
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
    let (_database, store) = store().await;
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
    let stored = || Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    let both = tokio::join!(store.settle(&again, stored()), store.settle(&again, stored()));
    assert!(matches!(both, (Ok(true), Ok(false)) | (Ok(false), Ok(true))), "{both:?}");
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.dead_lettered, row.retrying, row.stored), (0, 0, 1));
    assert_eq!(messages(&store, "acme").await, ["repaired"]);
    assert!(store.due_letters(at(1_000), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_letter_whose_row_is_refused_stays_as_it_was() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, vec![letter(0, 0)])).await.unwrap();
    let due = store.due_letters(at(0), 1).await.unwrap().remove(0);
    let nul = Outcome::Stored(Box::new(event("acme", 1, "\0")));
    assert!(matches!(store.settle(&due, nul).await, Err(FlushError::Refused(_))));
    assert_eq!(ledger_of(&store, of(0)).await.retrying, 1);
    let good = Outcome::Stored(Box::new(event("acme", 1, "repaired")));
    assert!(store.settle(&due, good).await.unwrap());
    assert_eq!(messages(&store, "acme").await, ["repaired"]);
}

/// A reason quotes the broken bytes; a letter that is refused in its turn would hold its partition for ever.
#[tokio::test]
async fn a_letter_may_say_and_hold_any_bytes() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let any = NewLetter {
        key: bytes.clone().into(),
        payload: bytes.clone().into(),
        traceparent: Some("00-\0".into()),
        refusal: refusal("organizationId must be …, not `a\0b`"),
        ..letter(0, 0)
    };
    store.flush(letters(0, 0, vec![any])).await.unwrap();
    let due = store.due_letters(at(0), 1).await.unwrap().remove(0);
    assert_eq!(due.payload, bytes);
    assert!(store.settle(&due, Outcome::Retry { at: at(0), refusal: refusal("\0") }).await.unwrap());
    let due = store.due_letters(at(0), 1).await.unwrap().remove(0);
    assert!(store.settle(&due, Outcome::Dead { refusal: refusal("\0 again") }).await.unwrap());
    let publication = store.publication(1).await.unwrap().unwrap();
    let dead = &publication.letters[0];
    assert_eq!((&dead.key[..], &dead.payload[..], dead.attempts), (&bytes[..], &bytes[..], 3));
    assert_eq!(
        (dead.refusal.reason.as_str(), dead.traceparent.as_deref()),
        ("\u{fffd} again", Some("00-\u{fffd}"))
    );
}

#[tokio::test]
async fn a_dead_letter_says_when_it_was_appended_and_who_refused_it_last() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let of_server = |reason: &str, code: &str| Refusal { reason: reason.into(), sqlstate: Some(code.into()) };
    let refused = NewLetter { refusal: of_server("too long", "22001"), ..letter(0, 0) };
    let another = NewLetter { timestamp_ms: -1, ..letter(1, 0) };
    store.flush(letters(0, 0, vec![refused, another])).await.unwrap();
    let due = store.due_letters(at(0), 2).await.unwrap();
    let last = [refusal("not JSON any more"), of_server("out of range", "22003")];
    for (letter, refusal) in due.iter().zip(last.clone()) {
        assert!(store.settle(letter, Outcome::Dead { refusal }).await.unwrap());
    }
    let publication = store.publication(2).await.unwrap().unwrap();
    let said: Vec<_> =
        publication.letters.iter().map(|dead| (dead.timestamp_ms, dead.refusal.clone())).collect();
    let [first, second] = last;
    assert_eq!(said, [(1_000, first), (-1, second)]);
    assert!(publication.letters.iter().all(|dead| dead.of == of(0)));
}

async fn give_up(store: &Store, offsets: &[i64]) {
    for due in store.due_letters(at(0), 100).await.unwrap() {
        if offsets.contains(&due.offset) {
            assert!(store.settle(&due, Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap());
        }
    }
}

fn offsets(publication: &store::Publication) -> Vec<i64> {
    publication.letters.iter().map(|letter| letter.offset).collect()
}

#[tokio::test]
async fn dead_letters_are_published_once_in_order_and_only_when_given_up() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, (0..6).map(|n| letter(n, 0)).collect())).await.unwrap();
    assert_eq!(store.publication(10).await.unwrap(), None, "all are still tried again");
    give_up(&store, &[4, 1, 3]).await;
    let first = store.publication(2).await.unwrap().unwrap();
    assert_eq!(offsets(&first), [1, 3]);
    // Its successor, after an end between publishing and marking, finds the very same, whatever came since.
    give_up(&store, &[0]).await;
    assert_eq!(store.publication(100).await.unwrap().as_ref(), Some(&first));
    assert!(store.published(first.number).await.unwrap());
    assert!(!store.published(first.number).await.unwrap(), "marked twice");
    let second = store.publication(100).await.unwrap().unwrap();
    assert_eq!(offsets(&second), [0, 4]);
    assert!(second.number > first.number);
    assert!(store.published(second.number).await.unwrap());
    assert_eq!(store.publication(100).await.unwrap(), None);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.dead_lettered, row.retrying), (6, 2));
}

#[tokio::test]
async fn relays_that_ask_at_one_time_get_the_same_publication() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, (0..40).map(|n| letter(n, 0)).collect())).await.unwrap();
    give_up(&store, &(0..40).collect::<Vec<_>>()).await;
    let other = Store::open(database.config()).unwrap();
    let mut seen = Vec::new();
    loop {
        let (one, same) = tokio::join!(store.publication(7), other.publication(7));
        let (one, same) = (one.unwrap(), same.unwrap());
        assert_eq!(one, same);
        let Some(one) = one else { break };
        seen.extend(offsets(&one));
        let marked = tokio::join!(store.published(one.number), other.published(one.number));
        assert!(matches!(marked, (Ok(true), Ok(false)) | (Ok(false), Ok(true))), "{marked:?}");
    }
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_same_offset_is_set_aside_once() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    store.flush(letters(0, 0, vec![letter(0, 0)])).await.unwrap();
    // A flush of ours never does that; another program that moves positions would.
    let again = store.flush(letters(0, 1, vec![letter(0, 0)])).await;
    assert!(
        matches!(&again, Err(FlushError::Refused(refusal)) if refusal.reason.contains("unique")),
        "{again:?}"
    );
}
