//! HTTP/2 with prior knowledge: the same server, the same promises.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use http::Request;
use process::server::{Drained, Limits, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::frames::{
    Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, POST, RST_STREAM, Raw, answer, frame, next,
    rest,
};
use crate::stopping::{Waiting, drained, waiting};
use crate::support::{self, PATIENCE, few, start, until};

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn many_requests_on_one_connection_are_at_work_at_one_time_and_all_are_answered() {
    let Waiting { started, release, server } = waiting(Limits { streams: 50, ..few() });
    let client = Client::connect(server.addr).await;
    // The limit is known when the first answer is there.
    assert_eq!(client.get("/").await.1, b"hello");
    let mut waits = Vec::new();
    for _ in 0..50 {
        waits.push(client.send("/wait").await.unwrap());
    }
    started.acquire_many(50).await.unwrap().forget();
    // Waits at the client, which knows the limit.
    let one_more = client.send("/").await.unwrap();
    release.notify_waiters();
    for answered in join_all(waits.into_iter().map(answer)).await {
        assert_eq!(answered.unwrap().1, b"done");
    }
    assert_eq!(answer(one_more).await.unwrap().1, b"hello");
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let echo = async |body: Body| Body::from_stream(body.into_data_stream());
    let server = start(few(), Router::new().route("/", post(echo)));
    let client = Client::connect(server.addr).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let request = Request::post("http://test/").body(()).unwrap();
    let (response, mut sending) = requests.send_request(request, false).unwrap();
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[(n % 4) as usize]).collect();
    let mut rest = Bytes::from(sent.clone());
    // What is read is less than what is sent: nobody waits for the whole body.
    let send = async {
        while !rest.is_empty() {
            sending.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
            let part = rest.split_to(room.min(rest.len()));
            sending.send_data(part, rest.is_empty()).unwrap();
        }
    };
    let ((), answered) = tokio::join!(send, answer(response));
    let (status, read) = answered.unwrap();
    assert!(status == 200 && read == sent, "{status}, {} of {} bytes", read.len(), sent.len());
}

#[tokio::test]
async fn an_answer_in_one_large_part_arrives_whole() {
    let large: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[0]).collect();
    let answered = large.clone();
    let app = Router::new().route("/", get(move || std::future::ready(answered.clone())));
    let server = start(few(), app);
    let client = Client::connect(server.addr).await;
    let response = client.send("/").await.unwrap().await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000003");
    // Else what it leaves unread takes the connection's whole window.
    drop(response);
    assert!(client.get("/").await.1 == large);
}

#[tokio::test]
async fn events_arrive_as_they_happen_and_end_at_the_order_to_stop() {
    let stop = CancellationToken::new();
    let watched = stop.clone();
    let events = move || {
        let watched = watched.clone();
        async move {
            let first = stream::once(async { Ok::<_, Infallible>(Event::default().data("1")) });
            let rest = stream::once(async move {
                watched.cancelled().await;
                Ok(Event::default().data("bye"))
            });
            Sse::new(first.chain(rest))
        }
    };
    let limits = Limits { drain: Duration::from_secs(3600), stall: Duration::from_millis(200), ..few() };
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let addr = server.local_addr();
    let served = tokio::spawn(server.serve(Router::new().route("/", get(events)), stop.clone()));
    let client = Client::connect(addr).await;
    let mut body = client.send("/").await.unwrap().await.unwrap().into_body();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: 1\n\n");
    // Much longer than the limit for a client that takes nothing: this one has taken all there is.
    let quiet = timeout(Duration::from_millis(600), body.data()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    stop.cancel();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: bye\n\n");
    assert!(next(&mut body).await.is_none());
    client.ended().await.unwrap();
    let drained = timeout(PATIENCE, served).await.expect("the server does not end").unwrap();
    assert_eq!(drained, Drained { finished: 1, aborted: 0 });
}

#[tokio::test]
async fn streams_in_flight_finish_and_new_ones_are_refused() {
    let Waiting { started, release, server } = waiting(few());
    let client = Client::connect(server.addr).await;
    let waits = [client.send("/wait").await.unwrap(), client.send("/wait").await.unwrap()];
    started.acquire_many(2).await.unwrap().forget();
    server.stop.cancel();
    until("the door is shut", async || TcpStream::connect(server.addr).await.is_err()).await;
    until("new streams are refused", async || match client.send("/").await {
        Ok(response) => answer(response).await.is_err(),
        Err(_) => true,
    })
    .await;
    release.notify_waiters();
    for answered in join_all(waits.map(answer)).await {
        assert_eq!(answered.unwrap().1, b"done");
    }
    client.ended().await.unwrap();
    assert_eq!(drained(server).await, Drained { finished: 1, aborted: 0 });
}

#[tokio::test]
async fn idle_connections_end_at_once_even_those_that_do_not_answer() {
    let server = start(Limits { drain: Duration::from_secs(3600), ..few() }, hello());
    let behaves = Client::connect(server.addr).await;
    assert_eq!(behaves.get("/").await.1, b"hello");
    let mut dumb = Raw::connect(server.addr).await;
    dumb.get(1).await;
    server.stop.cancel();
    behaves.ended().await.unwrap();
    assert!(dumb.rest().await.iter().any(|frame| frame.kind == GOAWAY && frame.code() == 0));
    assert_eq!(drained(server).await, Drained::default());
}

#[tokio::test]
async fn a_request_on_its_way_at_the_order_to_stop_is_answered() {
    let server = start(few(), hello());
    let client = Client::connect(server.addr).await;
    let response = client.send("/").await.unwrap();
    server.stop.cancel();
    assert_eq!(answer(response).await.unwrap().1, b"hello");
    client.ended().await.unwrap();
    drained(server).await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let Waiting { started, server, .. } = waiting(Limits { drain: Duration::from_millis(100), ..few() });
    let client = Client::connect(server.addr).await;
    let response = client.send("/wait").await.unwrap();
    started.acquire().await.unwrap().forget();
    server.stop.cancel();
    assert!(answer(response).await.is_err());
    assert_eq!(drained(server).await, Drained { finished: 0, aborted: 1 });
}

#[tokio::test]
async fn a_connection_without_requests_is_told_that_it_ends_whatever_else_it_sends() {
    let server = start(Limits { idle: Duration::from_millis(400), ..few() }, hello());
    let behaves = Client::connect(server.addr).await;
    assert_eq!(behaves.get("/").await.1, b"hello");
    let mut dumb = Raw::connect(server.addr).await;
    dumb.get(1).await;
    behaves.ended().await.unwrap();
    let (read, mut write) = dumb.stream.into_split();
    let pings = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while write.write_all(&frame(PING, 0, 0, b"8 bytes!")).await.is_ok() {
            tick.tick().await;
        }
    });
    let frames = rest(read).await;
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY && frame.code() == 0), "{frames:?}");
    pings.await.unwrap();
}

#[tokio::test]
async fn idle_time_is_no_head_time() {
    let limits = Limits { head: Duration::from_millis(100), ..few() };
    let server = start(limits, hello());
    let mut client = Client::connect(server.addr).await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.1, b"hello");
        let quiet = timeout(Duration::from_millis(300), &mut client.connection).await;
        assert!(quiet.is_err(), "idle time was counted as head time");
    }
}

#[tokio::test]
async fn at_the_limit_idle_connections_make_room_and_busy_ones_stay() {
    let Waiting { started, release, server } = waiting(Limits { connections: 2, ..few() });
    let busy = Client::connect(server.addr).await;
    let waits = busy.send("/wait").await.unwrap();
    started.acquire().await.unwrap().forget();
    let idle = Client::connect(server.addr).await;
    assert_eq!(idle.get("/").await.1, b"hello");
    assert_eq!(support::get(server.addr, "/").await.status, 200, "the idle one makes room");
    idle.ended().await.unwrap();
    let other = Client::connect(server.addr).await;
    let other_waits = other.send("/wait").await.unwrap();
    started.acquire().await.unwrap().forget();
    assert_eq!(support::get(server.addr, "/").await.status, 503, "both are at work");
    release.notify_waiters();
    assert_eq!(answer(waits).await.unwrap().1, b"done");
    assert_eq!(answer(other_waits).await.unwrap().1, b"done");
}

/// Clients in use take the reset of a stream for a failure although they have its answer.
#[tokio::test]
async fn an_answer_before_the_end_of_its_request_comes_without_a_reset() {
    let server = start(few(), Router::new().route("/", post(async || "no")));
    let mut raw = Raw::connect(server.addr).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, POST)).await;
    while raw.next().await.is_none_or(|frame| frame.kind != DATA) {}
    raw.send(&frame(DATA, END_STREAM, 1, b"late")).await;
    raw.send(&frame(PING, 0, 0, b"8 bytes!")).await;
    loop {
        match raw.next().await.expect("the connection ended").kind {
            PING => break,
            kind => assert_ne!(kind, RST_STREAM),
        }
    }
}

#[tokio::test]
async fn a_request_that_goes_on_after_its_answer_is_reset() {
    let server = start(few(), hello().route("/", post(async || "no")));
    let client = Client::connect(server.addr).await;
    let mut requests = client.requests.clone().ready().await.unwrap();
    let request = Request::post("http://test/").body(()).unwrap();
    let (response, mut sending) = requests.send_request(request, false).unwrap();
    assert_eq!(answer(response).await.unwrap().1, b"no");
    let mut sent = 0;
    let part = Bytes::from(vec![b'x'; 16_000]);
    let reset = loop {
        sending.reserve_capacity(part.len());
        match timeout(PATIENCE, std::future::poll_fn(|cx| sending.poll_capacity(cx))).await.unwrap() {
            Some(Ok(_)) => sending.send_data(part.clone(), false).unwrap(),
            _ => break std::future::poll_fn(|cx| sending.poll_reset(cx)).await.unwrap(),
        }
        sent += part.len();
        assert!(sent < 4 << 20, "{sent} bytes that nobody wants");
    };
    assert_eq!(reset, h2::Reason::NO_ERROR);
    assert_eq!(client.get("/").await.1, b"hello");
}
