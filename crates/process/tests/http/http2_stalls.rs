//! Clients of HTTP/2 that take nothing of their answers, or go away, hold nothing for long; idle ones hold little.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::stream;
use process::server::{Limits, Server};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::frames::{
    Client, END_HEADERS, END_STREAM, ENDLESS, HEADERS, PREFACE, Raw, SETTINGS, WINDOW_UPDATE, frame, next,
};
use crate::support::{self, Alive, few, start, until};

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// `/` says hello, `/endless` never ends; `alive` counts the answers that are not over.
fn endless(alive: &Alive) -> Router {
    let lives = alive.clone();
    let endless = move || {
        let life = lives.begin();
        async move {
            let chunk = move || {
                let _held = &life;
                Ok::<_, std::io::Error>(vec![b'x'; 100_000])
            };
            Body::from_stream(stream::repeat_with(chunk))
        }
    };
    hello().route("/endless", get(endless))
}

fn observed(limits: Limits, app: Router) -> (SocketAddr, Registry) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let mut registry = Registry::default();
    server.register(&mut registry);
    let addr = server.local_addr();
    tokio::spawn(server.serve(app, CancellationToken::new()));
    (addr, registry)
}

fn has(registry: &Registry, line: &str) -> bool {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text.contains(line)
}

#[tokio::test]
async fn a_stream_whose_window_is_never_opened_is_reset_and_the_others_go_on() {
    let alive = Alive::default();
    let (addr, registry) = observed(Limits { stall: Duration::from_millis(300), ..few() }, endless(&alive));
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let client = Client::with(addr, &builder).await;
    // Nobody reads the first, so its window closes after 64 KiB; the second is read all the time.
    let stuck = client.send("/endless").await.unwrap().await.unwrap();
    let mut taken = client.send("/endless").await.unwrap().await.unwrap().into_body();
    until("the one that is not read is over", async || {
        next(&mut taken).await.unwrap().expect("the stream that is read goes on");
        alive.count() == 1
    })
    .await;
    let mut body = stuck.into_body();
    let reset = loop {
        match next(&mut body).await.expect("no end without an error") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    assert_eq!(client.get("/").await.1, b"hello");
    assert!(has(&registry, "http_server_streams_stalled_total 1"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_taken_is_cut_off() {
    let (addr, registry) = observed(Limits { stall: Duration::from_millis(300), ..few() }, hello());
    let mut builder = h2::client::Builder::new();
    // One byte: the rest of the answer is in the server's buffers when its handler has long ended.
    builder.initial_window_size(1);
    let client = Client::with(addr, &builder).await;
    let mut body = client.send("/").await.unwrap().await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "h");
    tokio::time::timeout(support::PATIENCE, client.connection).await.expect("it goes on").unwrap().ok();
    assert!(has(&registry, "http_server_connections_timed_out_total 1"));
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_from_its_socket_is_cut_off() {
    let alive = Alive::default();
    let server = start(Limits { stall: Duration::from_millis(300), ..few() }, endless(&alive));
    let mut raw = Raw { stream: tokio::net::TcpStream::connect(server.addr).await.unwrap() };
    // Windows that never close, and a socket that nobody reads.
    let window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    let wide = frame(WINDOW_UPDATE, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes());
    raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &window), &wide].concat()).await;
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, ENDLESS)).await;
    until("the answer has begun", async || alive.count() == 1).await;
    until("the answer is over", async || alive.count() == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_requests_with_it() {
    let alive = Alive::default();
    let server = start(few(), endless(&alive));
    let mut raw = Raw::connect(server.addr).await;
    for stream in [1, 3, 5] {
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, ENDLESS)).await;
    }
    until("all are being answered", async || alive.count() == 3).await;
    drop(raw);
    until("none is any more", async || alive.count() == 0).await;
}

/// What the process has in memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The bound is far above what is measured, since other tests of this process need memory as well.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_thousand_idle_connections_need_little_memory() {
    const COUNT: usize = 1000;
    let server = start(Limits { connections: 2 * COUNT, ..few() }, hello());
    let before = resident();
    let mut connections = Vec::new();
    for _ in 0..COUNT {
        let mut raw = Raw::connect(server.addr).await;
        raw.get(1).await;
        connections.push(raw);
    }
    let each = resident().saturating_sub(before) / COUNT;
    eprintln!("{each} KiB for each of {COUNT} idle connections, both ends");
    assert!(each < 64, "{each} KiB for each idle connection");
    for raw in &mut connections {
        raw.get(3).await;
    }
}
