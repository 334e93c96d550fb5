//! A gateway over real connections to producers that do as they are told.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode},
    routing::post,
};
use gateway::{
    CacheConfig, Gateway, Parts, Protocol, Reads, TailLimits, Upstream, WriteLimits,
    auth::{Keys, WRITE},
    limits::Limiter,
};
use handoff::Key;
use process::server::{Drained, Limits, Server};
use prometheus_client::{encoding::text::encode, registry::Registry};
use resilience::Breakers;
use std::{
    io::Write,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use store::Query;
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";
const KEY: &[u8] = b"a key of the tests, 32 bytes or more as well";

/// A gateway before producers at `url`, with a store and a topic of its own.
pub(crate) struct Door {
    pub(crate) router: Router,
    breakers: Breakers,
    pub(crate) token: String,
    _dir: tempfile::TempDir,
}

impl Door {
    pub(crate) fn new(url: &str, protocol: Protocol, writes: WriteLimits) -> Door {
        let dir = tempfile::tempdir().unwrap();
        let topic = topic::embedded::Topic::open(&dir.path().join("topic"), Default::default()).unwrap();
        let store = store::embedded::Store::open(&dir.path().join("store"), Default::default()).unwrap();
        let (keys, breakers) = (Keys::new(SECRET), Breakers::default());
        let token = keys.issue(&"acme".parse().unwrap(), WRITE, Duration::from_secs(600));
        let parts = Parts {
            keys,
            gateway_key: Key::new(KEY),
            producer: Upstream::remote(
                "producer",
                &url.parse().unwrap(),
                protocol,
                &process::cores::Cores::none(),
                &breakers,
            ),
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

    pub(crate) fn request(&self, body: Body) -> Request<Body> {
        let bearer = format!("Bearer {}", self.token);
        Request::post("/api/v1/logs").header("authorization", bearer).body(body).unwrap()
    }

    pub(crate) async fn send(&self, body: Body) -> Response<Body> {
        let answer = self.router.clone().oneshot(self.request(body));
        timeout(Duration::from_secs(20), answer).await.expect("an answer within 20 s").unwrap()
    }

    pub(crate) async fn status(&self) -> StatusCode {
        self.send(Body::from("{}")).await.status()
    }

    pub(crate) fn states(&self) -> Vec<(String, &'static str)> {
        let snapshots = self.breakers.snapshots().into_iter();
        snapshots.map(|(name, snapshot)| (name, snapshot.state.name())).collect()
    }
}

/// A producer that counts what reaches it, and answers as it is told.
#[derive(Clone)]
pub(crate) struct Counting {
    reached: Arc<AtomicUsize>,
    /// Requests that may be answered.
    pub(crate) answers: Arc<Semaphore>,
}

impl Counting {
    pub(crate) fn new(answers: usize) -> Counting {
        Counting { reached: Arc::default(), answers: Arc::new(Semaphore::new(answers)) }
    }

    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    pub(crate) fn serve(&self, address: SocketAddr) -> Served {
        self.serve_within(address, Limits { connections: 100, ..Limits::default() })
    }

    pub(crate) fn serve_within(&self, address: SocketAddr, limits: Limits) -> Served {
        let limits = Limits { drain: Duration::from_millis(500), ..limits };
        let server = Server::bind(address, limits).unwrap();
        let (mut registry, stop) = (Registry::default(), CancellationToken::new());
        server.register(&mut registry);
        let address = server.local_addr();
        let app = Router::new().route("/api/v1/logs", post(answer)).with_state(self.clone());
        let task = tokio::spawn(server.serve(app, stop.clone()));
        Served { address, registry, stop, task }
    }
}

/// A running producer.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    registry: Registry,
    stop: CancellationToken,
    task: JoinHandle<Drained>,
}

impl Served {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a pod ends: what is under way has a moment to finish.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Connections that it has now.
    pub(crate) fn connections(&self) -> usize {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("http_server_connections "));
        line.unwrap().parse().unwrap()
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

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Two producers behind one name: `localhost` has two addresses, as a headless Service has many.
pub(crate) struct Two {
    pub(crate) one: Served,
    pub(crate) _other: Served,
    pub(crate) url: String,
    pub(crate) first: Counting,
    pub(crate) second: Counting,
}

/// `None` where `localhost` has one address only.
pub(crate) async fn two_producers() -> Option<Two> {
    let (first, second) = (Counting::new(1_000_000), Counting::new(1_000_000));
    let one = first.serve(loopback(0));
    let port = one.address.port();
    let other = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let names: Vec<SocketAddr> = tokio::net::lookup_host(("localhost", port)).await.unwrap().collect();
    if !names.contains(&other) {
        // Not by `eprintln!`, which is not shown of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "LEFT OUT: localhost has no IPv6 address here ({names:?}), so there is no name with two addresses"
        );
        return None;
    }
    let url = format!("http://localhost:{port}");
    Some(Two { one, _other: second.serve(other), url, first, second })
}
