//! Request bodies: limits of bytes and time, content coding, and that the client sees why it was refused.

use std::io::Write;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use axum::routing::post;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use process::body::{BodyBudget, BodyError, BodyLimits};
use process::problem::Problem;
use tokio::io::AsyncWriteExt;

use crate::support::{Answer, Client, Running, few, start, until};

type App = (BodyBudget, BodyLimits);

async fn echo(
    State((budget, limits)): State<App>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Bytes, BodyError> {
    budget.read(body, headers.get(CONTENT_ENCODING), limits).await
}

async fn length(
    State((_, limits)): State<App>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<String, Problem> {
    Ok(process::body::read(body, headers.get(CONTENT_ENCODING), limits).await?.len().to_string())
}

fn serve(budget: &BodyBudget, limits: BodyLimits) -> Running {
    let app = Router::new().route("/echo", post(echo)).route("/length", post(length));
    start(few(), app.with_state((budget.clone(), limits)))
}

fn server() -> Running {
    serve(&BodyBudget::new(64 << 20), BodyLimits::default())
}

fn head(path: &str, length: usize, coding: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\ncontent-encoding: {coding}\r\n\r\n"
    )
}

async fn post_to(server: &Running, path: &str, coding: &str, body: &[u8]) -> Answer {
    let mut client = Client::connect(server.addr).await;
    client.send(head(path, body.len(), coding)).await;
    client.send(body).await;
    client.answer().await
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Text that does not compress to nothing and differs everywhere.
fn sample(bytes: usize) -> Vec<u8> {
    let mut text: Vec<u8> = (0u64..)
        .flat_map(|n| format!("event {n} {};", n.wrapping_mul(0x9E37_79B9)).into_bytes())
        .take(bytes)
        .collect();
    text.truncate(bytes);
    text
}

#[tokio::test]
async fn bodies_of_every_coding_and_size_arrive_whole() {
    let budget = BodyBudget::new(64 << 20);
    let server = serve(&budget, BodyLimits::default());
    for bytes in [0, 1, 5000, 70_000, 300_000, 5 << 20] {
        let data = sample(bytes);
        let two_members = [gzip(&data[..bytes / 2]), gzip(&data[bytes / 2..])].concat();
        let half = zstd::encode_all(&data[..bytes / 2], 1).unwrap();
        let two_frames = [half, zstd::encode_all(&data[bytes / 2..], 1).unwrap()].concat();
        for (coding, sent) in [
            ("identity", data.clone()),
            ("gzip", gzip(&data)),
            ("X-GZIP", two_members),
            ("zstd", zstd::encode_all(&data[..], 3).unwrap()),
            ("zstd", two_frames),
        ] {
            let answer = post_to(&server, "/echo", coding, &sent).await;
            assert_eq!(answer.status, 200, "{coding} {bytes}: {:?}", String::from_utf8_lossy(&answer.body));
            assert!(answer.body == data, "{coding} of {bytes} bytes came out differently");
        }
    }
    until("every charge is given back", async || budget.used() == 0).await;
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    let server = server();
    let data = sample(100_000);
    let mut client = Client::connect(server.addr).await;
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for piece in data.chunks(7001) {
        client.send(format!("{:x}\r\n", piece.len())).await;
        client.send(piece).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert!(client.answer().await.body == data);
}

#[tokio::test]
async fn a_body_that_is_not_what_its_coding_says_is_400() {
    let server = server();
    let (good_gzip, good_zstd) = (gzip(&sample(50_000)), zstd::encode_all(&sample(50_000)[..], 3).unwrap());
    let mut flipped = good_gzip.clone();
    let crc = flipped.len() - 6;
    flipped[crc] ^= 0xFF;
    let mut checked = zstd::Encoder::new(Vec::new(), 3).unwrap();
    checked.include_checksum(true).unwrap();
    checked.write_all(&sample(50_000)).unwrap();
    let mut damaged = checked.finish().unwrap();
    damaged[300] ^= 0xFF;
    // A frame that asks for a window of 2 GiB: magic, descriptor without sizes, window byte.
    let wide = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8, 0x01, 0x00, 0x00];
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("gzip", b"this is not gzip at all".to_vec(), "not gzip"),
        ("gzip", good_gzip[..good_gzip.len() / 2].to_vec(), "cut in its data"),
        ("gzip", good_gzip[..good_gzip.len() - 3].to_vec(), "cut in its trailer"),
        ("gzip", flipped, "wrong checksum"),
        ("gzip", [&good_gzip[..], b"garbage"].concat(), "trailing garbage"),
        ("gzip", Vec::new(), "empty"),
        ("zstd", b"this is not zstd at all".to_vec(), "not zstd"),
        ("zstd", good_zstd[..good_zstd.len() / 2].to_vec(), "cut"),
        ("zstd", damaged, "damaged"),
        ("zstd", [&good_zstd[..], b"garbage"].concat(), "trailing garbage"),
        ("zstd", wide.to_vec(), "window too large"),
    ];
    for (coding, body, what) in cases {
        let answer = post_to(&server, "/echo", coding, &body).await;
        assert_eq!(answer.status, 400, "{coding}: {what}");
        let detail = answer.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(&format!("the body is not valid {coding}: ")), "{what}: {detail}");
    }
}

#[tokio::test]
async fn an_unknown_coding_is_415_with_those_that_are_known() {
    let answer = post_to(&server(), "/echo", "br", b"x").await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd, identity"));
    assert!(answer.problem()["detail"].as_str().unwrap().contains("\"br\""));
}

#[tokio::test]
async fn a_body_that_dries_up_is_408_and_the_connection_ends() {
    let slow = BodyLimits {
        first_byte: Duration::from_millis(100),
        total: Duration::from_millis(300),
        ..BodyLimits::default()
    };
    let server = serve(&BodyBudget::new(1 << 20), slow);
    for sent in ["", "half"] {
        let mut client = Client::connect(server.addr).await;
        client.send(head("/echo", 8, "identity")).await;
        client.send(sent).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 408, "after {sent:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        client.stream.shutdown().await.unwrap();
        client.ended().await;
    }
}

/// The client that is hardest to answer: it sends everything before it reads anything.
async fn sends_all_then_reads(server: &Running, chunked: bool) -> Answer {
    const TOTAL: usize = 100 << 20;
    let piece = vec![b'x'; 1 << 20];
    let mut client = Client::connect(server.addr).await;
    let framing =
        if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {TOTAL}") };
    client.send(format!("POST /length HTTP/1.1\r\nhost: test\r\n{framing}\r\n\r\n")).await;
    for _ in 0..TOTAL / piece.len() {
        if chunked {
            client.send("100000\r\n").await;
        }
        client.send(&piece).await;
        if chunked {
            client.send("\r\n").await;
        }
    }
    if chunked {
        client.send("0\r\n\r\n").await;
    }
    client.answer().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_100_mb_sees_413() {
    let server = server();
    for chunked in [false, true] {
        let answer = sends_all_then_reads(&server, chunked).await;
        assert_eq!(answer.status, 413, "chunked: {chunked}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.problem()["limit"], 10 << 20);
        assert!(answer.problem()["detail"].as_str().unwrap().contains("10485760 bytes"));
    }
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let server = server();
    let mut client = Client::connect(server.addr).await;
    client
        .send(
            "POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 104857600\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.status, 413, "and not 100");
}

#[tokio::test]
async fn a_spent_budget_is_503_at_once_and_ends_with_the_bodies() {
    let budget = BodyBudget::new(100_000);
    let server = serve(&budget, BodyLimits::default());
    let mut holder = Client::connect(server.addr).await;
    holder.send(head("/echo", 90_000, "identity")).await;
    holder.send(vec![b'x'; 50_000]).await;
    until("the first body is charged", async || budget.used() == 90_000).await;

    let answer = post_to(&server, "/echo", "identity", &[b'y'; 20_000]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let small = post_to(&server, "/echo", "identity", &[b'y'; 5_000]).await;
    assert_eq!(small.status, 200, "what fits is still read");

    holder.send(vec![b'x'; 40_000]).await;
    assert_eq!(holder.answer().await.body.len(), 90_000);
    until("the charge is given back", async || budget.used() == 0).await;
    assert_eq!(post_to(&server, "/echo", "identity", &[b'y'; 20_000]).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_charge_back() {
    let budget = BodyBudget::new(1 << 20);
    let server = serve(&budget, BodyLimits::default());
    let mut client = Client::connect(server.addr).await;
    client.send(head("/echo", 90_000, "identity")).await;
    client.send(vec![b'x'; 50_000]).await;
    until("the body is charged", async || budget.used() > 0).await;
    drop(client);
    until("the charge is given back", async || budget.used() == 0).await;
}
