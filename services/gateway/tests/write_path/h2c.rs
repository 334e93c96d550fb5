//! What is special when the producers speak HTTP/2: all writes share a connection, and what befalls it.

use crate::support::{Counting, Door, Two, loopback, two_producers, until};
use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, Version},
};
use futures::{StreamExt, future::join_all, stream};
use gateway::{Protocol, WriteLimits};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use process::server::{Limits, Server};
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

fn door(url: &str) -> Arc<Door> {
    Arc::new(Door::new(url, Protocol::H2c, WriteLimits::default()))
}

fn writes(door: &Arc<Door>, count: usize) -> Vec<JoinHandle<StatusCode>> {
    let write = |_| {
        let door = door.clone();
        tokio::spawn(async move { door.status().await })
    };
    (0..count).map(write).collect()
}

/// How many of these answers are `status`.
async fn answered(writes: Vec<JoinHandle<StatusCode>>, status: StatusCode) -> usize {
    join_all(writes).await.into_iter().filter(|answer| *answer.as_ref().unwrap() == status).count()
}

#[tokio::test]
async fn many_writes_at_one_time_share_connections() {
    let counting = Counting::new(0);
    let server = counting.serve(loopback(0));
    let writes = writes(&door(&server.url()), 80);
    until("all are at the producer", async || counting.reached() == 80).await;
    assert!(server.connections() < 10, "{} connections for 80 writes", server.connections());
    counting.answers.add_permits(80);
    assert_eq!(answered(writes, StatusCode::ACCEPTED).await, 80);
}

/// The gateway's own limit is what keeps writes from waiting; a service with less room gets them one after the other.
#[tokio::test]
async fn writes_for_which_there_is_no_stream_yet_wait_and_are_not_lost() {
    let counting = Counting::new(1);
    let limits = Limits { connections: 100, streams: 10, ..Limits::default() };
    let server = counting.serve_within(loopback(0), limits);
    let door = door(&server.url());
    assert_eq!(door.status().await, StatusCode::ACCEPTED, "the limit is known from here on");
    let writes = writes(&door, 30);
    until("ten are at work", async || counting.reached() == 1 + 10).await;
    counting.answers.add_permits(30);
    assert_eq!(answered(writes, StatusCode::ACCEPTED).await, 30);
    assert_eq!(counting.reached(), 31);
}

/// The kernel takes its connections, and nobody answers: a frozen process, or a host that has gone without a word.
#[tokio::test]
async fn a_connection_that_died_silently_does_not_hang_its_streams() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut scratch = [0; 1024];
                while matches!(stream.read(&mut scratch).await, Ok(length) if length > 0) {}
            });
        }
    });
    let begun = Instant::now();
    let writes = writes(&door(&url), 20);
    assert_eq!(answered(writes, StatusCode::SERVICE_UNAVAILABLE).await, 20);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

/// Only one connection is made at one time: those who wait for it do not wait one after the other.
#[tokio::test]
async fn an_address_that_does_not_answer_costs_all_who_wait_the_same() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(loopback(0)).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: when the kernel's queue is full, it leaves newcomers without an answer.
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queue.push(stream.unwrap());
        assert!(queue.len() < 100, "the queue is never full");
    }
    let begun = Instant::now();
    let writes = writes(&door(&format!("http://{address}")), 20);
    assert_eq!(answered(writes, StatusCode::SERVICE_UNAVAILABLE).await, 20);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_producer_that_stops_under_load_costs_no_write() {
    let Some(Two { one, _other, url, first, second }) = two_producers().await else { return };
    let door = door(&url);
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    assert_eq!(door.status().await, StatusCode::ACCEPTED);
                }
            })
        })
        .collect();
    until("both are at work", async || first.reached() > 50).await;
    one.end().await;
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(first.reached() + second.reached(), 800);
}

/// The client of the gateway speaks HTTP/2 whatever the producers do.
#[tokio::test]
async fn a_write_that_comes_by_http2_goes_on_in_what_the_producers_speak() {
    for protocol in [Protocol::Http1, Protocol::H2c] {
        let counting = Counting::new(1);
        let producer = counting.serve(loopback(0));
        let door = Door::new(&producer.url(), protocol, WriteLimits::default());
        let server = Server::bind(loopback(0), Limits { connections: 10, ..Limits::default() }).unwrap();
        let url = format!("http://{}/api/v1/logs", server.local_addr());
        tokio::spawn(server.serve(door.router.clone(), CancellationToken::new()));
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let parts = stream::iter(["{", "}"]).map(|part| Ok::<_, Infallible>(Bytes::from(part)));
        let request = Request::post(url)
            .header("authorization", format!("Bearer {}", door.token))
            .body(Body::from_stream(parts))
            .unwrap();
        let answer = client.request(request).await.unwrap();
        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::ACCEPTED, Version::HTTP_2),
            "{protocol:?}"
        );
    }
}
