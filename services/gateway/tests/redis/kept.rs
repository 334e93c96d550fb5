//! Answers that gateways share.

use crate::{
    door::Behind,
    support::{connected, fresh, shared, until},
};
use gateway::limits::Config;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

#[tokio::test]
async fn what_one_gateway_was_answered_another_answers_too_and_to_nobody_else() {
    let behind = Behind::new();
    let first = behind.door(Config::default(), Some(connected(&shared()).await));
    let second = behind.door(Config::default(), Some(connected(&shared()).await));
    let (acme, other) = (fresh("acme"), fresh("other"));
    let past = "/api/v1/logs?to=2020-01-01T00:00:00Z";
    assert_eq!(first.read(&acme, past).await.header("cache-status"), "logpipeline; fwd=miss");
    // It is kept in the background, and asked for with a deadline of its own: then each try is another question.
    let tries = AtomicUsize::new(0);
    until("the second gateway has what the first was answered", async || {
        let path = format!("{past}&limit={}", tries.fetch_add(1, Ordering::Relaxed) + 1);
        first.read(&acme, &path).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = second.read(&acme, &path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["logs"]), (200, &serde_json::json!([])));
        answer.header("cache-status").starts_with("logpipeline; hit; ttl=5")
    })
    .await;
    let path = format!("{past}&limit={}", tries.load(Ordering::Relaxed));
    let theirs = second.read(&other, &path).await;
    assert_eq!(theirs.header("cache-status"), "logpipeline; fwd=miss", "another organisation asks the same");
}
