//! Attempts to see how much others write.

use crate::{
    door::{Answer, until},
    neighbours::{MARK, Neighbours},
};
use axum::{body::Body, http::Request};
use serde_json::{Value, json};

/// The overview without what changes by itself.
async fn overview(neighbours: &Neighbours, token: &str) -> Value {
    let answer = neighbours.door.get("/api/v1/overview", token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut overview = answer.json();
    overview["uptimeSeconds"].take();
    overview["parts"]["store"]["latencyMs"].take();
    overview
}

/// `other` writes so much that any figure of all would tell.
async fn others_write(neighbours: &Neighbours) {
    let events: Vec<Value> =
        (0..500).map(|number| json!({ "message": format!("{MARK} {number}") })).collect();
    let answer = neighbours.post(&neighbours.other, &[], json!(events).to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    neighbours.stored(&neighbours.other, 503).await;
}

fn assert_refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 403, "{what}: {answer:?}");
    assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{what}: {answer:?}");
}

#[tokio::test]
async fn the_ledger_is_for_tokens_that_may_see_all() {
    let neighbours = Neighbours::new().await;
    let ledger = async |token: &str| neighbours.door.get("/api/v1/ledger", token).await;
    for (organization, scopes) in [
        ("acme", "pipeline:read"),
        ("acme", "logs:read pipeline:read"),
        ("*", "logs:read"),
        ("*", "pipeline:read"),
    ] {
        let answer = ledger(&neighbours.token(organization, scopes)).await;
        assert_eq!(answer.status, 200, "{organization} {scopes}: {answer:?}");
    }
    // Now an answer is kept, which is for nobody else.
    for (organization, scopes) in [
        ("acme", "logs:read"),
        ("acme", "logs:read logs:write"),
        ("acme", "logs:write"),
        ("acme", "logs:read PIPELINE:READ"),
        ("acme", "logs:read pipeline:readall"),
        ("acme", "logs:read pipeline:*"),
        ("acme", "logs:read pipeline"),
        ("acme", "logs:read *"),
        ("acme", ""),
        ("*", "logs:write"),
    ] {
        assert_refused(scopes, &ledger(&neighbours.token(organization, scopes)).await);
    }
    let detail = ledger(&neighbours.acme).await.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("pipeline:read") && detail.contains("all organisations"), "{detail}");
}

#[tokio::test]
async fn nothing_in_a_request_stands_for_the_scope() {
    let neighbours = Neighbours::new().await;
    for (method, query, headers) in [
        ("GET", "?organization=acme", &[][..]),
        ("GET", "?organization=*", &[]),
        ("GET", "?scope=pipeline:read", &[]),
        ("HEAD", "", &[]),
        ("GET", "", &[("scope", "pipeline:read"), ("x-scope", "pipeline:read")]),
        ("GET", "", &[("logpipeline-organization", "*"), ("cache-control", "only-if-cached")]),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/ledger{query}"))
            .header("authorization", format!("Bearer {}", neighbours.acme));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = neighbours.door.send(request.body(Body::empty()).unwrap()).await;
        assert_refused(&format!("{method} {query} {headers:?}"), &answer);
    }
}

/// What others write changes nothing in what one sees, once it is stored; whoever sees all does see it.
#[tokio::test]
async fn an_overview_does_not_move_with_what_others_write() {
    let neighbours = Neighbours::new().await;
    let settled = |overview: &Value| overview["parts"]["topic"]["lag"] == 0;
    let of = async |token: &str| until("no lag", async || overview(&neighbours, token).await, settled).await;
    let operator = neighbours.token("acme", "pipeline:read");
    let (before, all_before) = (of(&neighbours.acme).await, of(&operator).await);
    others_write(&neighbours).await;
    let (after, all_after) = (of(&neighbours.acme).await, of(&operator).await);
    assert_eq!(before, after);
    let stored = |overview: &Value| overview["parts"]["store"]["logs"].as_i64().unwrap();
    assert_eq!((stored(&all_before), stored(&all_after)), (6, 506));
    assert_eq!((&after["figures"], &all_after["figures"]), (&json!(false), &json!(true)));
    assert_eq!(after["parts"]["ledger"], json!({ "status": "ok", "balanced": true }));
}

/// Who may not read logs sees the figures and no event.
#[tokio::test]
async fn seeing_all_reads_no_logs() {
    let neighbours = Neighbours::new().await;
    for organization in ["acme", "other", "*"] {
        let token = neighbours.token(organization, "pipeline:read");
        assert_eq!(neighbours.door.get("/api/v1/limits", &token).await.status, 200);
        for path in ["/api/v1/logs", "/api/v1/logs?organization=other", "/api/v1/stats", "/api/v1/tail"] {
            assert_refused(path, &neighbours.door.get(path, &token).await);
        }
        assert_refused("a write", &neighbours.post(&token, &[], "{}").await);
    }
}
