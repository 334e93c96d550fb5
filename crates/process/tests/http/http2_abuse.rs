//! Clients of HTTP/2 that misbehave harm nobody but themselves.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use process::server::Limits;
use tokio::io::AsyncWriteExt;

use crate::frames::{
    CONTINUATION, Client, END_HEADERS, END_STREAM, ENDLESS, GET, GOAWAY, HEADERS, POST, PREFACE, RST_STREAM,
    Raw, SETTINGS, answer, frame,
};
use crate::support::{self, Alive, few, start, until};

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_preface_that_does_not_end_is_cut_off() {
    let limits = Limits { head: Duration::from_millis(200), idle: Duration::from_secs(300), ..few() };
    let server = start(limits, hello());
    for length in [1, 3, 16, 23] {
        let mut slow = support::Client::connect(server.addr).await;
        slow.send(&PREFACE[..length]).await;
        slow.ended().await;
    }
}

#[tokio::test]
async fn a_preface_in_pieces_is_understood_and_so_is_what_only_looks_like_one() {
    let server = start(few(), hello());
    let mut raw = Raw { stream: tokio::net::TcpStream::connect(server.addr).await.unwrap() };
    raw.stream.set_nodelay(true).unwrap();
    for byte in [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat() {
        raw.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    raw.get(1).await;
    for cut in 1..4 {
        let mut client = support::Client::connect(server.addr).await;
        let (first, rest) = "PRI / HTTP/1.1\r\nhost: test\r\n\r\n".split_at(cut);
        client.send(first).await;
        tokio::task::yield_now().await;
        client.send(rest).await;
        assert_eq!(client.answer().await.status, 405);
    }
}

#[tokio::test]
async fn garbage_after_the_preface_ends_the_connection_with_a_reason() {
    let server = start(few(), hello());
    let mut raw = Raw { stream: tokio::net::TcpStream::connect(server.addr).await.unwrap() };
    raw.send(&[PREFACE, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"].concat()).await;
    let frames = raw.rest().await;
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() != 0), "{frames:?}");
    assert_eq!(Client::connect(server.addr).await.get("/").await.1, b"hello");
}

#[tokio::test]
async fn a_head_too_large_is_answered_431_and_the_connection_goes_on() {
    let server = start(Limits { head_bytes: 8 << 10, ..few() }, hello());
    let client = Client::connect(server.addr).await;
    // Before the server's settings are known a client does not know the limit.
    assert_eq!(client.get("/").await.1, b"hello");
    let request = http::Request::get("http://test/").header("x-large", "x".repeat(20_000)).body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    assert_eq!(answer(response).await.unwrap().0, 431);
    assert_eq!(client.get("/").await.1, b"hello");
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let server = start(
        Limits { streams: 2, ..few() },
        Router::new().route("/endless", get(std::future::pending::<()>)),
    );
    let mut raw = Raw::connect(server.addr).await;
    for stream in [1, 3, 5] {
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, ENDLESS)).await;
    }
    let refused = loop {
        let frame = raw.next().await.expect("the connection ended");
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    // REFUSED_STREAM: the client may send it again.
    assert_eq!((refused.stream, &refused.payload[..]), (5, &7_u32.to_be_bytes()[..]));
}

/// CVE-2024-27316 and its kin: a head of frames without an end.
#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    let server = start(few(), hello());
    let mut raw = Raw::connect(server.addr).await;
    raw.send(&frame(HEADERS, END_STREAM, 1, GET)).await;
    let field = [&b"\x00\x01x\x7f\x81\x7e"[..], &[b'x'; 16_000]].concat();
    let flood = frame(CONTINUATION, 0, 1, &field).repeat(64);
    let frames = match raw.stream.write_all(&flood).await {
        Ok(()) => raw.rest().await,
        Err(_) => return,
    };
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() != 0), "{frames:?}");
}

/// CVE-2023-44487.
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_leaves_no_request_behind() {
    let alive = Alive::default();
    let lives = alive.clone();
    let wait = move || {
        let life = lives.begin();
        async move {
            std::future::pending::<()>().await;
            drop(life);
        }
    };
    let server = start(few(), hello().route("/", axum::routing::post(wait)));
    let flood: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, POST);
            [request, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        })
        .collect();
    let mut raw = Raw::connect(server.addr).await;
    let written = raw.stream.write_all(&flood).await;
    if written.is_ok() {
        let frames = raw.rest().await;
        // ENHANCE_YOUR_CALM
        assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() == 11), "{frames:?}");
    }
    assert_eq!(Client::connect(server.addr).await.get("/").await.1, b"hello");
    until("no request is left", async || alive.count() == 0).await;
}
