//! The order to stop: requests in flight finish, idle connections end, newcomers are refused.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::stream;
use process::server::{Drained, Limits};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::support::{Client, PATIENCE, Running, few, start, until};

/// `GET /wait` answers when told to; `started` counts requests that wait.
pub(crate) struct Waiting {
    pub(crate) started: Arc<Semaphore>,
    pub(crate) release: Arc<Notify>,
    pub(crate) server: Running,
}

pub(crate) fn waiting(limits: Limits) -> Waiting {
    let (started, release) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let (begun, go) = (Arc::clone(&started), Arc::clone(&release));
    let wait = move || {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        async move {
            let go = go.notified();
            begun.add_permits(1);
            go.await;
            "done"
        }
    };
    let app = Router::new().route("/wait", get(wait)).route("/", get(async || "hello"));
    Waiting { started, release, server: start(limits, app) }
}

pub(crate) async fn drained(server: Running) -> Drained {
    timeout(PATIENCE, server.served).await.expect("the server does not end").unwrap()
}

#[tokio::test]
async fn a_request_in_flight_finishes_and_newcomers_are_refused() {
    let Waiting { started, release, server } = waiting(few());
    let mut client = Client::connect(server.addr).await;
    client.send("GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let _ = started.acquire().await.unwrap();

    server.stop.cancel();
    until("the door is shut", async || TcpStream::connect(server.addr).await.is_err()).await;
    release.notify_waiters();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "done"));
    assert_eq!(answer.header("connection"), Some("close"));
    client.ended().await;
    assert_eq!(drained(server).await, Drained { finished: 1, aborted: 0 });
}

#[tokio::test]
async fn idle_connections_end_at_once() {
    let server = start(Limits { drain: Duration::from_secs(3600), ..few() }, Router::new());
    let mut silent = Client::connect(server.addr).await;
    let mut kept_alive = Client::connect(server.addr).await;
    assert_eq!(kept_alive.get("/").await.status, 404);
    server.stop.cancel();
    silent.ended().await;
    kept_alive.ended().await;
    assert_eq!(drained(server).await, Drained::default());
}

#[tokio::test]
async fn a_request_sent_before_the_order_to_stop_is_answered() {
    let server = start(few(), Router::new().route("/", get(async || "hello")));
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.addr).await;
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        clients.push(client);
    }
    // The server's task has not run since: this runtime has one thread, and writing to a socket does not wait.
    server.stop.cancel();
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "hello");
    }
    drained(server).await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let Waiting { started, server, .. } = waiting(Limits { drain: Duration::from_millis(100), ..few() });
    let mut client = Client::connect(server.addr).await;
    client.send("GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let _ = started.acquire().await.unwrap();
    server.stop.cancel();
    client.ended().await;
    assert_eq!(drained(server).await, Drained { finished: 0, aborted: 1 });
}

#[tokio::test]
async fn an_endless_answer_ends_when_its_handler_watches_the_token() {
    let stop = tokio_util::sync::CancellationToken::new();
    let watched = stop.clone();
    let events = move || {
        let watched = watched.clone();
        async move {
            let first = stream::once(async { Ok::<_, std::io::Error>("data: 1\n\n") });
            let rest = stream::once(async move {
                watched.cancelled().await;
                Ok("data: bye\n\n")
            });
            Body::from_stream(stream::StreamExt::chain(first, rest))
        }
    };
    let limits = Limits { drain: Duration::from_secs(3600), ..few() };
    let server = process::server::Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let addr = server.local_addr();
    let served = tokio::spawn(server.serve(Router::new().route("/", get(events)), stop.clone()));
    let mut client = Client::connect(addr).await;
    let answer = client.get("/").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    stop.cancel();
    client.ended().await;
    let drained = timeout(PATIENCE, served).await.expect("the server does not end").unwrap();
    assert_eq!(drained, Drained { finished: 1, aborted: 0 });
}
