//! The way of a write to the producers, over real connections: they die, hang, come back, and are several.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode},
    routing::post,
};
use gateway::{
    CacheConfig, Gateway, Parts, Reads, TailLimits, Upstream, WriteLimits,
    auth::{Keys, WRITE},
    limits::Limiter,
};
use handoff::Key;
use process::cores::Cores;
use prometheus_client::registry::Registry;
use resilience::Breakers;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use store::Query;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";
const KEY: &[u8] = b"a key of the tests, 32 bytes or more as well";
/// Calls that a half-open breaker lets through.
const TRIALS: usize = 3;

/// A gateway before producers at `url`, with a store and a topic of its own.
struct Door {
    router: Router,
    breakers: Breakers,
    token: String,
    _dir: tempfile::TempDir,
}

impl Door {
    fn new(url: &str, writes: WriteLimits) -> Door {
        let dir = tempfile::tempdir().unwrap();
        let topic = topic::embedded::Topic::open(&dir.path().join("topic"), Default::default()).unwrap();
        let store = store::embedded::Store::open(&dir.path().join("store"), Default::default()).unwrap();
        let (keys, breakers) = (Keys::new(SECRET), Breakers::default());
        let token = keys.issue(&"acme".parse().unwrap(), WRITE, Duration::from_secs(600));
        let parts = Parts {
            keys,
            gateway_key: Key::new(KEY),
            producer: Upstream::remote("producer", &url.parse().unwrap(), &Cores::none(), &breakers),
            consumer: Upstream::local(Router::new()),
            limiter: Limiter::new(gateway::limits::Config::default(), None, &mut Registry::default()),
            reads: Reads::new(
                CacheConfig::default(),
                store.late_events(),
                None,
                &breakers,
                &mut Registry::default(),
            ),
            store: Arc::new(store),
            topic: topic.viewer(),
            breakers: breakers.clone(),
            writes,
            tails: TailLimits::default(),
        };
        let router = Gateway::new(parts, CancellationToken::new()).router();
        Door { router, breakers, token, _dir: dir }
    }

    fn request(&self, body: Body) -> Request<Body> {
        let bearer = format!("Bearer {}", self.token);
        Request::post("/api/v1/logs").header("authorization", bearer).body(body).unwrap()
    }

    async fn send(&self, body: Body) -> Response<Body> {
        let answer = self.router.clone().oneshot(self.request(body));
        timeout(Duration::from_secs(20), answer).await.expect("an answer within 20 s").unwrap()
    }

    async fn status(&self) -> StatusCode {
        self.send(Body::from("{}")).await.status()
    }

    fn states(&self) -> Vec<(String, &'static str)> {
        let snapshots = self.breakers.snapshots().into_iter();
        snapshots.map(|(name, snapshot)| (name, snapshot.state.name())).collect()
    }
}

/// A producer that counts what reaches it, and answers as it is told.
#[derive(Clone)]
struct Counting {
    reached: Arc<AtomicUsize>,
    /// Requests that may be answered.
    answers: Arc<Semaphore>,
}

impl Counting {
    fn new(answers: usize) -> Counting {
        Counting { reached: Arc::default(), answers: Arc::new(Semaphore::new(answers)) }
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    async fn serve(&self, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/api/v1/logs", post(answer)).with_state(self.clone());
        (address, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
    }
}

async fn answer(State(counting): State<Counting>, headers: HeaderMap, body: Body) -> StatusCode {
    counting.reached.fetch_add(1, Ordering::SeqCst);
    let identity = headers[handoff::IDENTITY].to_str().unwrap();
    assert_eq!(Key::new(KEY).verify(identity, SystemTime::now()), Ok("acme"));
    assert!(headers[handoff::TIMEOUT].to_str().unwrap().parse::<u64>().unwrap() > 1000);
    assert!(headers.get("authorization").is_none(), "a token is the gateway's only");
    to_bytes(body, 1 << 20).await.unwrap();
    counting.answers.acquire().await.unwrap().forget();
    StatusCode::ACCEPTED
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn producers_that_are_gone_are_told_at_once_and_found_when_they_are_back() {
    let counting = Counting::new(1_000_000);
    let (address, server) = counting.serve(loopback(0)).await;
    let door = Door::new(&format!("http://{address}"), WriteLimits::default());
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
    server.abort();
    until("the breaker opens", async || {
        assert_eq!(door.status().await, StatusCode::SERVICE_UNAVAILABLE);
        door.states()[0].1 == "open"
    })
    .await;
    let begun = Instant::now();
    let refused = door.send(Body::from("{}")).await;
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let (_, _server) = counting.serve(address).await;
    until("the producer is found again", async || door.status().await == StatusCode::ACCEPTED).await;
}

#[tokio::test]
async fn a_half_open_breaker_lets_exactly_the_permitted_calls_through() {
    let counting = Counting::new(5);
    let (address, server) = counting.serve(loopback(0)).await;
    let door = Arc::new(Door::new(&format!("http://{address}"), WriteLimits::default()));
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
    server.abort();
    until("the breaker opens", async || {
        door.status().await;
        door.states()[0].1 == "open"
    })
    .await;
    // Back, but it answers nobody yet.
    counting.answers.forget_permits(usize::MAX);
    let (_, _server) = counting.serve(address).await;
    let before = counting.reached();
    until("the breaker is half-open", async || door.states()[0].1 == "half_open").await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.status().await })
        })
        .collect();
    until("all but the trial calls are refused", async || {
        calls.iter().filter(|call| call.is_finished()).count() == 50 - TRIALS
    })
    .await;
    until("the trial calls are there", async || counting.reached() - before == TRIALS).await;
    counting.answers.add_permits(1000);
    let mut accepted = 0;
    for call in calls {
        accepted += usize::from(call.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!((accepted, counting.reached() - before), (TRIALS, TRIALS));
    assert_eq!(door.states()[0].1, "closed");
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
}

/// `localhost` has two addresses, as a headless Service has many.
#[tokio::test]
async fn writes_spread_over_all_producers_and_go_on_when_one_is_gone() {
    let (first, second) = (Counting::new(1_000_000), Counting::new(1_000_000));
    let (address, one) = first.serve(loopback(0)).await;
    let other: SocketAddr = (Ipv6Addr::LOCALHOST, address.port()).into();
    let (_, _other) = second.serve(other).await;
    let names: Vec<SocketAddr> =
        tokio::net::lookup_host(("localhost", address.port())).await.unwrap().collect();
    if !names.contains(&other) {
        eprintln!(
            "LEFT OUT: localhost has no IPv6 address here ({names:?}), so there is no name with two addresses"
        );
        return;
    }
    let door = Door::new(&format!("http://localhost:{}", address.port()), WriteLimits::default());
    for _ in 0..200 {
        assert_eq!(door.status().await, StatusCode::ACCEPTED);
    }
    assert_eq!(first.reached() + second.reached(), 200);
    assert!((60..=140).contains(&first.reached()), "{} of 200 at one of two producers", first.reached());
    one.abort();
    for _ in 0..200 {
        assert_eq!(door.status().await, StatusCode::ACCEPTED, "another producer takes it");
    }
    assert_eq!(first.reached() + second.reached(), 400);
}

#[tokio::test]
async fn what_is_too_much_at_one_time_is_refused_at_once() {
    let counting = Counting::new(0);
    let (address, _server) = counting.serve(loopback(0)).await;
    let door = Arc::new(Door::new(&format!("http://{address}"), WriteLimits { all: 10, each: 4 }));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.status().await })
        })
        .collect();
    until("four are under way and sixteen refused", async || {
        counting.reached() == 4 && calls.iter().filter(|call| call.is_finished()).count() == 16
    })
    .await;
    counting.answers.add_permits(100);
    let mut accepted = 0;
    for call in calls {
        accepted += usize::from(call.await.unwrap() == StatusCode::ACCEPTED);
    }
    assert_eq!(accepted, 4);
    assert_eq!(door.status().await, StatusCode::ACCEPTED, "places are given back");
}

#[tokio::test]
async fn a_body_that_the_client_breaks_off_is_not_the_producers_fault() {
    let counting = Counting::new(1_000_000);
    let (address, _server) = counting.serve(loopback(0)).await;
    let door = Door::new(&format!("http://{address}"), WriteLimits::default());
    for _ in 0..20 {
        let broken = futures::stream::iter([Ok("{\"message\""), Err(std::io::Error::other("gone"))]);
        assert_eq!(door.send(Body::from_stream(broken)).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(door.states()[0].1, "closed");
    assert_eq!(door.status().await, StatusCode::ACCEPTED);
}
