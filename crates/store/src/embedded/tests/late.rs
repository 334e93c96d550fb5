use super::*;
use crate::{LateNews, SETTLED};

fn long_ago(organization: &str) -> LogRecord {
    let settled = i64::try_from(SETTLED.as_nanos()).unwrap();
    event(organization, Timestamp::now().as_nanos() - settled, "late")
}

fn of_acme() -> LateNews {
    LateNews::Of(vec!["acme".parse().unwrap()])
}

#[tokio::test]
async fn late_events_are_told_when_they_are_committed_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let mut heard = store.late_events();
    assert_eq!(heard.next().await, LateNews::Listening);
    let now = event("other", Timestamp::now().as_nanos(), "in time");
    store.flush(rows(0, 0, vec![now])).await.unwrap();
    store.flush(rows(0, 1, vec![long_ago("acme")])).await.unwrap();
    assert_eq!(heard.next().await, of_acme());

    store.flush(letters(0, 2, vec![letter(2, 0)])).await.unwrap();
    let letter = store.due_letters(Timestamp::now(), 1).await.unwrap().remove(0);
    store.settle(&letter, Outcome::Stored(Box::new(long_ago("acme")))).await.unwrap();
    assert_eq!(heard.next().await, of_acme());
}

#[tokio::test]
async fn who_listens_too_slowly_hears_that_it_may_be_any() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    begin(&store, 1).await;
    let mut heard = store.late_events();
    assert_eq!(heard.next().await, LateNews::Listening);
    for number in 0..300 {
        store.flush(rows(0, number, vec![long_ago("acme")])).await.unwrap();
    }
    assert_eq!(heard.next().await, LateNews::OfAny);
    assert_eq!(heard.next().await, of_acme());
}
