//! Bad input: each kind gets a clear error, and nothing else is harmed.

use crate::harness::{Pipeline, SOON, token};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// A request by hand: what no decent client would send.
fn raw(pipeline: &Pipeline) -> TcpStream {
    let stream = TcpStream::connect(pipeline.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// After each attack: events are taken and found as before.
async fn still_works(pipeline: &Pipeline, after: &str) {
    assert_eq!(
        pipeline.post(json!({"message": format!("after {after}")}).to_string()).await.0,
        202,
        "after {after}"
    );
    let path = format!("/api/v1/logs?q={}", after.replace(' ', "+"));
    pipeline.until(&path, |page| page["logs"].as_array().is_some_and(|logs| !logs.is_empty())).await;
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or("")
}

#[tokio::test]
async fn every_bad_body_gets_its_own_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let deep_attributes =
        format!(r#"{{"message":"m","attributes":{{"a":{}{}}}}}"#, "[".repeat(500), "]".repeat(500));
    let year = |year: &str| format!(r#"{{"message":"m","timestamp":"{year}-01-01T00:00:00Z"}}"#);
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(300_000));
    let many = "{\"message\":\"m\"}\n".repeat(10_001);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("empty", b"".into(), 400, "empty"),
        ("not JSON", b"hello".into(), 400, "not JSON"),
        ("half an array", b"[{\"message\":\"m\"},".into(), 400, "line 1 column"),
        ("half an object", b"{\"message\":\"m\"".into(), 400, "not JSON"),
        ("deep arrays", "[".repeat(1_000_000).into(), 400, "not JSON"),
        ("deep attributes", deep_attributes.into(), 400, "deeper than 32"),
        ("NUL bytes", b"{\"message\":\"a\0b\"}".into(), 400, "control character"),
        ("escaped NUL", br#"{"message":"a\u0000b"}"#.into(), 400, "U+0000"),
        ("only NUL bytes", vec![0; 1000], 400, "not JSON"),
        ("invalid UTF-8", b"{\"message\":\"\xc3\x28\"}".into(), 400, "not UTF-8"),
        ("year 0", year("0000").into(), 400, "1970 to 2261"),
        ("year 99999", year("99999").into(), 400, "1970 to 2261"),
        ("another's event", br#"{"message":"m","organizationId":"other"}"#.into(), 403, "`other`"),
        ("a long message", long.into(), 400, "message has 300000 bytes"),
        ("too many events", many.into(), 413, "more than 10000 events"),
    ];
    for (name, body, status, words) in cases {
        let (got, problem) = pipeline.post(body).await;
        assert_eq!(got, status, "{name}: {problem}");
        assert!(detail(&problem).contains(words), "{name}: {problem}");
        assert_eq!(problem["status"], status, "{name}: {problem}");
    }
    let xml = pipeline.post_with(&pipeline.token, &[("content-type", "application/xml")], "<a/>").await;
    assert_eq!(xml.0, 415, "{}", xml.1);
    let brotli = pipeline.post_with(&pipeline.token, &[("content-encoding", "br")], "x").await;
    assert_eq!(brotli.0, 415, "{}", brotli.1);
    let damaged = pipeline.post_with(&pipeline.token, &[("content-encoding", "gzip")], "no gzip").await;
    assert_eq!(damaged.0, 400, "{}", damaged.1);
    still_works(&pipeline, "bad bodies").await;
    assert_eq!(pipeline.search_all("").await.len(), 1, "nothing of the bad was stored");
}

#[tokio::test]
async fn every_bad_token_and_query_gets_its_own_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let tokens = [
        ("garbage".to_owned(), "cannot be read"),
        (token(elsewhere.path(), "demo", &[]), "not signed by this pipeline"),
    ];
    for (token, words) in tokens {
        let (status, problem) = pipeline.get_as(&token, "/api/v1/logs").await;
        assert!(status == 401 && detail(&problem).contains(words), "{status} {problem}");
    }
    let none = reqwest::get(format!("{}/api/v1/logs", pipeline.url)).await.unwrap();
    assert_eq!(none.status(), 401);
    assert!(none.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let queries = [
        ("/api/v1/logs?limit=0", 400, "limit must be 1 to 1000"),
        ("/api/v1/logs?limit=x", 400, "limit"),
        ("/api/v1/logs?from=yesterday", 400, "from: timestamp `yesterday`"),
        ("/api/v1/logs?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 400, "is after to"),
        ("/api/v1/logs?level=LOUD", 400, "`LOUD`"),
        ("/api/v1/logs?form=x", 400, "unknown field `form`"),
        ("/api/v1/logs?cursor=x", 400, "cursor"),
        ("/api/v1/logs/17", 400, "no event id"),
        ("/api/v1/logs/01936d3c-5a00-7000-8000-000000000001", 404, "has no event"),
        ("/api/v1/stats?interval=0s", 400, "no length of time"),
        ("/api/v1/nothing", 404, ""),
    ];
    for (path, status, words) in queries {
        let (got, problem) = pipeline.get(path).await;
        assert_eq!(got, status, "{path}: {problem}");
        assert!(detail(&problem).contains(words), "{path}: {problem}");
    }
    still_works(&pipeline, "bad questions").await;
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_and_the_client_sees_why() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let (status, problem) = pipeline.post(vec![b' '; 100_000_000]).await;
    assert!(status == 413 && detail(&problem).contains("10485760"), "{status} {problem}");
    still_works(&pipeline, "a large body").await;
}

#[tokio::test]
async fn a_bomb_takes_no_more_memory_than_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let before = pipeline.resident_kib();
    let (status, problem) = pipeline.post_with(&pipeline.token, &[("content-encoding", "gzip")], bomb).await;
    assert!(status == 413 && detail(&problem).contains("33554432"), "{status} {problem}");
    let grown = pipeline.resident_kib().saturating_sub(before);
    assert!(grown < 128 * 1024, "1 GiB in a gzip body took {grown} KiB");
    still_works(&pipeline, "a bomb").await;
}

#[tokio::test]
async fn a_slow_client_is_let_go_and_slows_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let mut slow_head = raw(&pipeline);
    slow_head.write_all(b"POST /api/v1/logs HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut slow_body = raw(&pipeline);
    let head = format!(
        "POST /api/v1/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n{{",
        pipeline.token
    );
    slow_body.write_all(head.as_bytes()).unwrap();
    still_works(&pipeline, "slow clients came").await;
    let mut answers = [String::new(), String::new()];
    tokio::task::spawn_blocking(move || {
        slow_head.read_to_string(&mut answers[0]).expect("it is closed, not left hanging");
        slow_body.read_to_string(&mut answers[1]).expect("it is closed, not left hanging");
        assert!(answers[1].starts_with("HTTP/1.1 408"), "{}", answers[1]);
    })
    .await
    .unwrap();
    still_works(&pipeline, "slow clients went").await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let allowed = rlimit::increase_nofile_limit(20_000).unwrap();
    let wanted = usize::try_from(allowed.saturating_sub(500).min(10_000)).unwrap();
    if wanted < 10_000 {
        println!("the system allows {allowed} open files: {wanted} idle connections instead of 10,000");
    }
    let before = pipeline.resident_kib();
    let idle: Vec<TcpStream> = (0..wanted).map(|_| raw(&pipeline)).collect();
    let begun = Instant::now();
    still_works(&pipeline, "idle connections").await;
    let (took, grown) = (begun.elapsed(), pipeline.resident_kib().saturating_sub(before));
    println!("{wanted} idle connections: an event sent and found in {took:?}, {grown} KiB more");
    assert!(took < Duration::from_secs(20), "an event took {took:?}");
    assert!(grown < 300 * 1024, "{wanted} idle connections took {grown} KiB");
    drop(idle);
    still_works(&pipeline, "idle connections went").await;
}
