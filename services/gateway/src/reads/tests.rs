//! Answers of the read cache as callers see them.

use super::*;
use axum::{http::StatusCode, response::IntoResponse};
use process::problem::Problem;
use record::{Level, LogRecord, Timestamp, Uuid};
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Flush, PartitionKey, Position, Query, Sink, embedded::Store};
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db"), Default::default()).unwrap();
    (folder, store)
}

fn reads(present: Duration) -> Reads {
    let config = CacheConfig { present, ..CacheConfig::default() };
    let (_folder, store) = store();
    Reads::new(config, store.late_events(), None, &Breakers::default(), &mut Registry::default())
}

fn key(organization: &str) -> Key {
    let organization = Some(organization.parse().unwrap());
    Key { organization, route: "logs", question: "q".into() }
}

/// What a client sees: the body, and whether it was kept and how fresh it is.
async fn seen(answer: Result<Answer, ReadError>) -> (String, String) {
    let response = answer.unwrap().into_response();
    let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
    (String::from_utf8(body.to_vec()).unwrap(), status)
}

fn out() -> ReadError {
    ReadError::Query(QueryError::Unavailable("it is stopped".into()))
}

#[tokio::test]
async fn callers_who_ask_the_same_at_one_time_share_one_question() {
    let (reads, asked) = (reads(Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
    let ask = |organization: &str| {
        let asked = asked.clone();
        reads.answer(key(organization), Freshness::Present, async move {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::SeqCst))
        })
    };
    let answers = futures::future::join_all((0..100).map(|_| ask("acme"))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().body == "0"));
    assert_eq!(seen(ask("acme").await).await, ("0".into(), "logpipeline; hit; ttl=59".into()));
    // Another organisation asks for itself, whatever it asks.
    assert_eq!(seen(ask("globex").await).await, ("1".into(), "logpipeline; fwd=miss".into()));
}

#[tokio::test]
async fn a_kept_answer_serves_as_stale_while_the_store_is_out_and_no_longer() {
    let reads = reads(Duration::ZERO);
    let ask =
        |answer: Result<u32, ReadError>| reads.answer(key("acme"), Freshness::Now, async move { answer });
    assert_eq!(seen(ask(Ok(1)).await).await.0, "1");
    assert_eq!(seen(ask(Err(out())).await).await, ("1".into(), "logpipeline; hit; ttl=-1".into()));
    assert_eq!(seen(ask(Ok(2)).await).await, ("2".into(), "logpipeline; fwd=miss".into()));
    assert!(reads.answer(key("other"), Freshness::Now, async { Err::<u32, _>(out()) }).await.is_err());
    let gone = ask(Err(ReadError::NotFound("gone".into()))).await;
    assert!(matches!(gone, Err(ReadError::NotFound(_))), "what the store knows is not contradicted");
}

#[tokio::test]
async fn a_store_that_is_out_is_left_alone() {
    let reads = reads(Duration::ZERO);
    let unavailable = || async { Err::<(), _>(QueryError::Unavailable("stopped".into())) };
    while matches!(reads.ask(unavailable()).await, Err(ReadError::Query(_))) {}
    let refused = reads.ask(async { panic!("the store is asked") as Result<(), QueryError> }).await;
    let problem = Problem::from(refused.unwrap_err());
    assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.into_response().headers().contains_key("retry-after"));
}

/// Stores an event of long ago.
async fn store_late(store: &Store, organization: &str) {
    let of = PartitionKey { topic: Uuid::from_u128(7), partition: 0, epoch: 0 };
    let expected = store.positions(&[Position { of, next: 0 }]).await.unwrap()[0].next;
    let rows = vec![LogRecord {
        id: Uuid::now_v7(),
        organization_id: organization.parse().unwrap(),
        timestamp: Timestamp::MIN,
        level: Level::Info,
        service: "shop".into(),
        message: "late".into(),
        trace_id: None,
        span_id: None,
        attributes: None,
    }];
    let flush = Flush { of, expected, next: expected + 1, rows, letters: vec![], skipped: 0, lost: 0 };
    store.flush(flush).await.unwrap();
}

/// Asks about the past until it is answered so.
async fn until_seen(reads: &Reads, organization: &str, made: Result<u32, ReadError>, expected: (&str, &str)) {
    let begun = Instant::now();
    loop {
        let made = made.clone();
        let answer = reads.answer(key(organization), Freshness::UNCHANGING, async move { made }).await;
        let (body, status) = seen(answer).await;
        if body == expected.0 && status.starts_with(expected.1) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays {body}, {status}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_late_event_makes_kept_answers_of_its_organisation_stale() {
    let (_folder, store) = store();
    let config = CacheConfig { present: Duration::ZERO, ..CacheConfig::default() };
    let reads = Reads::new(config, store.late_events(), None, &Breakers::default(), &mut Registry::default());
    for organization in ["acme", "other"] {
        until_seen(&reads, organization, Ok(1), ("1", "logpipeline; hit; ttl=5")).await;
    }
    store_late(&store, "acme").await;
    until_seen(&reads, "acme", Err(out()), ("1", "logpipeline; hit; ttl=-1")).await;
    until_seen(&reads, "acme", Ok(2), ("2", "logpipeline; fwd=miss")).await;
    until_seen(&reads, "acme", Ok(3), ("2", "logpipeline; hit; ttl=5")).await;
    until_seen(&reads, "other", Ok(3), ("1", "logpipeline; hit; ttl=5")).await;
}

/// What was stored while its time went on was not late, and nobody told of it.
#[tokio::test]
async fn an_answer_from_before_its_time_was_over_is_fresh_for_as_long_as_one_about_the_present() {
    let reads = reads(Duration::ZERO);
    until_seen(&reads, "acme", Ok(1), ("1", "logpipeline; hit; ttl=5")).await;
    let just_over = Freshness::Past { over_for: Duration::ZERO };
    let answer = reads.answer(key("acme"), just_over, async { Ok(2) }).await;
    assert_eq!(seen(answer).await, ("2".into(), "logpipeline; fwd=miss".into()));
}
