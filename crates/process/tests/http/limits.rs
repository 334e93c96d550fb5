//! No client can take more than its share of connections, time or head bytes.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use process::server::Limits;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{Client, few, start, until};

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let limits = Limits { head: Duration::from_millis(200), idle: Duration::from_secs(300), ..few() };
    let server = start(limits, hello());
    let mut slow = Client::connect(server.addr).await;
    slow.send("GET / HTTP/1.1\r\nhost: te").await;
    slow.ended().await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_too() {
    let limits = Limits { head: Duration::from_millis(200), idle: Duration::from_secs(300), ..few() };
    let server = start(limits, hello());
    let mut slow = Client::connect(server.addr).await;
    slow.send("GET / HTTP/1.1\r\n").await;
    let (mut read, mut write) = slow.stream.into_split();
    let drip = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut write, b"x: y\r\n").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let end = async {
        let mut scratch = [0; 64];
        while matches!(read.read(&mut scratch).await, Ok(length) if length > 0) {}
    };
    tokio::select! {
        () = drip => unreachable!("the drip never ends by itself"),
        ended = tokio::time::timeout(crate::support::PATIENCE, end) => ended.expect("the drip goes on"),
    }
}

#[tokio::test]
async fn an_idle_connection_is_parked_and_still_answers() {
    let limits = Limits { head: Duration::from_millis(100), ..few() };
    let server = start(limits, hello());
    let mut client = Client::connect(server.addr).await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text(), "hello");
        // Much longer than the head limit and the 25 ms after which an idle connection is parked.
        let mut scratch = [0; 1];
        let quiet = tokio::time::timeout(Duration::from_millis(300), client.stream.read(&mut scratch)).await;
        assert!(quiet.is_err(), "idle time was counted as head time");
    }
}

#[tokio::test]
async fn a_head_that_pauses_across_a_parking_is_put_together() {
    let limits = Limits { idle: Duration::from_millis(4000), ..few() };
    let server = start(limits, hello());
    let mut client = Client::connect(server.addr).await;
    // The second head is cut in its middle, in the same write as the first request.
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nho").await;
    assert_eq!(client.answer().await.text(), "hello");
    let mut scratch = [0; 1];
    let quiet = tokio::time::timeout(Duration::from_millis(2500), client.stream.read(&mut scratch)).await;
    assert!(quiet.is_err(), "nothing is to be said yet");
    client.send("st: b\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "hello");
}

#[tokio::test]
async fn a_connection_idle_for_too_long_is_closed() {
    let limits = Limits { idle: Duration::from_millis(200), ..few() };
    let server = start(limits, hello());
    let mut silent = Client::connect(server.addr).await;
    let mut kept_alive = Client::connect(server.addr).await;
    assert_eq!(kept_alive.get("/").await.status, 200);
    silent.ended().await;
    kept_alive.ended().await;
}

#[tokio::test]
async fn a_head_too_large_is_answered_431() {
    let server = start(Limits { head_bytes: 8 << 10, ..few() }, hello());
    let mut client = Client::connect(server.addr).await;
    client.send(format!("GET / HTTP/1.1\r\nhost: test\r\nx-large: {}\r\n\r\n", "x".repeat(200_000))).await;
    assert_eq!(client.answer().await.status, 431);
}

#[tokio::test]
async fn a_request_that_is_not_http_is_answered_400() {
    let server = start(few(), hello());
    let mut client = Client::connect(server.addr).await;
    client.send("this is not HTTP\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    client.ended().await;
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_cut_off() {
    let chunk = vec![b'x'; 1 << 20];
    let endless = move || {
        let chunk = chunk.clone();
        async move {
            Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
        }
    };
    let gone = CancellationToken::new();
    let guard = gone.clone();
    let app = Router::new().route("/", get(endless)).layer(axum::middleware::map_response(
        move |response: axum::response::Response| {
            let watch = guard.clone().drop_guard();
            async move {
                response.map(|body| {
                    Body::from_stream(futures::stream::StreamExt::inspect(
                        body.into_data_stream(),
                        move |_| {
                            let _held = &watch;
                        },
                    ))
                })
            }
        },
    ));
    let limits = Limits { stall: Duration::from_millis(300), ..few() };
    let server = start(limits, app);
    let mut client = Client::connect(server.addr).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    tokio::time::timeout(crate::support::PATIENCE, gone.cancelled())
        .await
        .expect("the answer is still being sent");
}

#[tokio::test]
async fn at_the_limit_the_connection_idle_longest_makes_room() {
    let server = start(Limits { connections: 3, ..few() }, hello());
    let mut first = Client::connect(server.addr).await;
    assert_eq!(first.get("/").await.status, 200);
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(server.addr).await;
        let connected = Instant::now();
        until("the server's clock has moved on", async || connected.elapsed().as_millis() > 2).await;
        assert_eq!(client.get("/").await.status, 200);
        others.push(client);
    }
    let mut newcomer = Client::connect(server.addr).await;
    assert_eq!(newcomer.get("/").await.status, 200);
    first.ended().await;
    assert_eq!(others[1].get("/").await.status, 200, "a connection used lately stays");
}

#[tokio::test]
async fn when_all_are_at_work_a_newcomer_gets_503() {
    let release = std::sync::Arc::new(Notify::new());
    let held = std::sync::Arc::clone(&release);
    let wait = move || {
        let held = std::sync::Arc::clone(&held);
        async move { held.notified().await }
    };
    let app = hello().route("/wait", get(wait));
    let limits = Limits { connections: 2, ..few() };
    let server = process::server::Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let mut registry = Registry::default();
    server.register(&mut registry);
    let addr = server.local_addr();
    tokio::spawn(server.serve(app, CancellationToken::new()));

    let mut at_work = [Client::connect(addr).await, Client::connect(addr).await];
    for client in &mut at_work {
        client.send("GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").await;
    }
    until("a newcomer is refused", async || {
        let mut newcomer = Client::connect(addr).await;
        newcomer.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let answer = newcomer.answer().await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(answer.problem()["detail"].as_str().unwrap().contains("limit of connections"));
        }
        answer.status == 503
    })
    .await;
    let mut metrics = String::new();
    encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains("http_server_connections_refused_total 1"), "{metrics}");

    release.notify_waiters();
    for client in &mut at_work {
        assert_eq!(client.answer().await.status, 200);
    }
    until("newcomers are let in", async || crate::support::get(addr, "/").await.status == 200).await;
}
