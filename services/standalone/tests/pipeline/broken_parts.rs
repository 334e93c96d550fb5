//! Broken records and a broken store: what is whole goes on, what is broken is kept.

use crate::harness::{Pipeline, total};
use serde_json::json;
use std::time::{Duration, Instant};
use topic::NewRecord;

fn new_record(payload: String) -> NewRecord {
    NewRecord { key: "demo".into(), payload: payload.into(), headers: vec![] }
}

fn event(n: usize) -> String {
    json!({
        "id": format!("01936d3c-5a00-7000-8000-{n:012}"), "organizationId": "demo", "level": "INFO",
        "timestamp": "2026-01-31T12:00:00Z", "service": "s", "message": format!("event {n}"),
    })
    .to_string()
}

/// What another writer left in the topic: broken records among good ones.
#[tokio::test]
async fn a_broken_record_is_retried_then_dead_lettered_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let topic = topic::embedded::Topic::open(&dir.path().join("topic.db"), Default::default()).unwrap();
    let nul = event(500).replace("event 500", "nul \\u0000");
    let records: Vec<NewRecord> = (0..300)
        .map(|n| match n {
            7 => "not JSON".to_owned(),
            150 => nul.clone(),
            299 => r#"{"organizationId":"demo"}"#.to_owned(),
            n => event(n),
        })
        .map(new_record)
        .collect();
    assert_eq!(topic.writer().append(records).await, vec![]);
    topic.close().await;

    let begun = Instant::now();
    let pipeline = Pipeline::start(dir.path());
    let ledger = pipeline.settled().await;
    assert_eq!((total(&ledger, "stored"), total(&ledger, "deadLettered")), (297, 3), "{ledger}");
    assert_eq!(
        (total(&ledger, "retrying"), &ledger["balanced"]),
        (3, &json!(true)),
        "set aside, and tried again"
    );
    assert_eq!(pipeline.search_all("").await.len(), 297);
    let settled = |ledger: &serde_json::Value| total(ledger, "retrying") == 0;
    let ledger = pipeline.until("/api/v1/ledger", settled).await;
    assert!(begun.elapsed() >= Duration::from_secs(7), "given up before the retries after 1, 2 and 4 s");
    assert_eq!((total(&ledger, "stored"), total(&ledger, "deadLettered")), (297, 3), "{ledger}");
    assert_eq!(ledger["balanced"], true);
}

/// Another process holds the database's write lock: the store is out, whatever the reason.
#[tokio::test]
async fn an_outage_of_the_store_holds_everything_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    assert_eq!(pipeline.post(r#"{"message":"before"}"#).await.0, 202);
    pipeline.settled().await;
    let other = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..20 {
        assert_eq!(pipeline.post(json!({"message": format!("during {n}")}).to_string()).await.0, 202);
    }
    let holding =
        pipeline.until("/api/v1/overview", |all| all["parts"]["consumer"]["status"] == "holding").await;
    assert!(holding["parts"]["consumer"]["detail"].is_string(), "{holding}");
    assert_eq!(pipeline.search_all("").await.len(), 1, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    let ledger = pipeline.settled().await;
    assert_eq!((total(&ledger, "stored"), total(&ledger, "deadLettered")), (21, 0), "{ledger}");
    let logs = pipeline.search_all("q=during").await;
    let order: Vec<_> = logs.iter().rev().map(|log| log["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order, (0..20).map(|n| format!("during {n}")).collect::<Vec<_>>(), "order is kept");
    pipeline.until("/api/v1/overview", |all| all["parts"]["consumer"]["status"] == "consuming").await;
}
