//! What a user does: send events in every form, find them again in every way.

use crate::harness::{Pipeline, token, total};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Write};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn messages(logs: &[Value]) -> BTreeSet<&str> {
    logs.iter().map(|log| log["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_of_every_form_are_stored_once_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let one = pipeline.post(r#"{"message":"one","level":"warning","attributes":{"user":"Ünal"}}"#).await;
    assert_eq!(one, (202, json!({"accepted": 1, "rejected": []})));
    assert_eq!(
        pipeline.post(r#"[{"message":"two"},{"message":"three","service":"shop"}]"#).await.1["accepted"],
        2
    );
    let lines = "{\"message\":\"four\"}\n{\"message\":\n{\"message\":\"five\"}\n";
    let (status, verdict) = pipeline.post(lines).await;
    assert_eq!((status, &verdict["accepted"], &verdict["rejected"][0]["index"]), (202, &json!(2), &json!(1)));
    let zipped = gzip(r#"{"message":"six"}"#);
    assert_eq!(pipeline.post_with(&pipeline.token, &[("content-encoding", "gzip")], zipped).await.0, 202);
    let packed = zstd::encode_all(&br#"{"message":"seven"}"#[..], 0).unwrap();
    assert_eq!(pipeline.post_with(&pipeline.token, &[("content-encoding", "zstd")], packed).await.0, 202);

    let ledger = pipeline.settled().await;
    assert_eq!((total(&ledger, "stored"), &ledger["balanced"]), (7, &json!(true)), "{ledger}");
    let all = pipeline.search_all("").await;
    assert_eq!(messages(&all), BTreeSet::from(["one", "two", "three", "four", "five", "six", "seven"]));
    assert_eq!(messages(&pipeline.search_all("level=WARN").await), BTreeSet::from(["one"]));
    assert_eq!(messages(&pipeline.search_all("service=shop").await), BTreeSet::from(["three"]));
    assert_eq!(messages(&pipeline.search_all("q=%C3%BCnal").await), BTreeSet::from(["one"]));
    let id = all[0]["id"].as_str().unwrap();
    assert_eq!(pipeline.get(&format!("/api/v1/logs/{id}")).await, (200, all[0].clone()));
}

#[tokio::test]
async fn pages_and_counts_agree_over_any_times() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let events: Vec<Value> = (0..2500)
        .map(|n| {
            json!({
                "message": format!("event {n}"),
                "timestamp": format!("2026-03-0{}T{:02}:00:00Z", 1 + n % 9, n % 24),
                "level": if n % 5 == 0 { "ERROR" } else { "INFO" },
            })
        })
        .collect();
    assert_eq!(pipeline.post(json!(events).to_string()).await.1["accepted"], 2500);
    pipeline.settled().await;
    let logs = pipeline.search_all("").await;
    assert_eq!(messages(&logs).len(), 2500);
    assert!(
        logs.windows(2).all(|pair| pair[0]["timestamp"].as_str() >= pair[1]["timestamp"].as_str()),
        "newest first"
    );
    let (_, stats) = pipeline.get("/api/v1/stats?interval=1d").await;
    assert_eq!((&stats["total"], stats["buckets"].as_array().unwrap().len()), (&json!(2500), 9), "{stats}");
    let errors: u64 =
        stats["buckets"].as_array().unwrap().iter().map(|of| of["byLevel"]["ERROR"].as_u64().unwrap()).sum();
    assert_eq!(errors, 500);
    let range = "from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z";
    let found = pipeline.search_all(range).await;
    let (_, stats) = pipeline.get(&format!("/api/v1/stats?{range}")).await;
    assert_eq!(stats["total"], found.len());
    assert!(found.iter().all(|log| log["timestamp"].as_str().unwrap().starts_with("2026-03-02")));
}

#[tokio::test]
async fn the_tail_shows_what_comes_and_only_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let request = reqwest::Client::new().get(format!("{}/api/v1/tail?level=ERROR", pipeline.url));
    let mut tail = request.bearer_auth(&pipeline.token).send().await.unwrap();
    assert_eq!(tail.headers()["content-type"], "text/event-stream");
    let foreign = token(dir.path(), "other", &[]);
    let mut seen = String::new();
    // The tail begins at the topic's end some time after its answer began: send until something of ours shows.
    while !seen.contains("event: log") {
        pipeline.post_with(&foreign, &[], r#"{"message":"foreign","level":"ERROR"}"#).await;
        pipeline.post(r#"[{"message":"quiet","level":"INFO"},{"message":"loud","level":"ERROR"}]"#).await;
        let wait = std::time::Duration::from_millis(200);
        if let Ok(chunk) = tokio::time::timeout(wait, tail.chunk()).await {
            seen.push_str(std::str::from_utf8(&chunk.unwrap().expect("the tail goes on")).unwrap());
        }
    }
    assert!(seen.contains("loud") && !seen.contains("quiet") && !seen.contains("foreign"), "{seen}");
}

#[tokio::test]
async fn no_token_reads_or_writes_anothers_logs() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let (acme, globex) = (token(dir.path(), "acme", &[]), token(dir.path(), "globex", &[]));
    pipeline.post_with(&acme, &[], r#"{"message":"secret of acme"}"#).await;
    pipeline.settled().await;
    let (_, own) = pipeline.get_as(&acme, "/api/v1/logs").await;
    let id = own["logs"][0]["id"].as_str().unwrap();
    assert_eq!(pipeline.get_as(&globex, "/api/v1/logs").await.1["logs"], json!([]));
    assert_eq!(pipeline.get_as(&globex, &format!("/api/v1/logs/{id}")).await.0, 404);
    assert_eq!(pipeline.get_as(&globex, "/api/v1/logs?organization=acme").await.0, 403);
    assert_eq!(pipeline.get_as(&globex, "/api/v1/stats").await.1["total"], 0);
    // The gateway's own header to the producer is not the client's to set.
    let forged = [("logpipeline-identity", "acme")];
    let (status, refused) =
        pipeline.post_with(&globex, &forged, r#"{"message":"m","organizationId":"acme"}"#).await;
    assert_eq!(status, 403, "{refused}");
    let reader = token(dir.path(), "acme", &["--scope", "logs:read"]);
    assert_eq!(pipeline.post_with(&reader, &[], r#"{"message":"m"}"#).await.0, 403);
    let any = token(dir.path(), "*", &[]);
    assert_eq!(pipeline.get_as(&any, "/api/v1/logs").await.0, 400);
    assert_eq!(pipeline.get_as(&any, "/api/v1/logs?organization=acme").await.1["logs"][0]["id"], id);
}
