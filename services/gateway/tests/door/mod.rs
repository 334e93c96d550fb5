//! Gateways of a test, in this process, in front of a real producer and consumer on embedded parts.
#![allow(dead_code, reason = "not all tests that share this use all of it")]

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode},
};
use gateway::{
    CacheConfig, Gateway, Parts, Reads, TailLimits, Upstream, WriteLimits,
    auth::{Keys, READ, WRITE},
    limits::{Config, Limiter, Source},
    redis::Redis,
};
use http_body_util::BodyExt;
use process::server::{Limits, Server};
use prometheus_client::{encoding::text::encode, registry::Registry};
use resilience::Breakers;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{Query, Sink};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

/// The key of gateways and producer.
const KEY: &[u8] = b"a key of the tests, 32 bytes or more";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const EVENT: &str = r#"{"level":"info","service":"test","message":"an event as long as such events are"}"#;
/// Longest wait for anything that should happen soon.
const SOON: Duration = Duration::from_secs(30);

/// What stands behind all gateways of a test; it ends with the last of them.
pub(crate) struct Behind {
    folder: TempDir,
    topic: topic::embedded::Topic,
    store: Arc<dyn Query>,
    producer: Router,
    consumer: Router,
    stop: CancellationToken,
    _stop: DropGuard,
}

/// One gateway.
#[derive(Clone)]
pub(crate) struct Door {
    router: Router,
    keys: Keys,
    registry: Arc<Registry>,
    _behind: Arc<Behind>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Behind {
    /// All embedded.
    pub(crate) fn new() -> Arc<Behind> {
        let folder = tempfile::tempdir().unwrap();
        let store =
            store::embedded::Store::open(&folder.path().join("store.db"), Default::default()).unwrap();
        let sink = Arc::new(store.clone()) as Arc<dyn Sink>;
        let (breakers, mut registry) = (Breakers::default(), Registry::default());
        let consumer = consumer::Consumer::new(Default::default(), sink, &breakers, &mut registry);
        let behind = Behind::in_folder(folder, Arc::new(store), consumer.router());
        let (reader, stopped) = (behind.topic.subscribe("store"), behind.stop.clone());
        tokio::spawn(async move { consumer.run(reader, stopped).await });
        Arc::new(behind)
    }

    /// With another store, into which nothing is consumed.
    pub(crate) fn over(store: Arc<dyn Query>) -> Arc<Behind> {
        Arc::new(Behind::in_folder(tempfile::tempdir().unwrap(), store, Router::new()))
    }

    fn in_folder(folder: TempDir, store: Arc<dyn Query>, consumer: Router) -> Behind {
        let topic =
            topic::embedded::Topic::open(&folder.path().join("topic.db"), Default::default()).unwrap();
        let (key, breakers) = (handoff::Key::new(KEY), Breakers::default());
        let (writer, mut registry) = (topic.writer(), Registry::default());
        let producer =
            producer::Producer::new(Default::default(), key, writer, &breakers, &mut registry).router();
        let stop = CancellationToken::new();
        Behind { folder, topic, store, producer, consumer, _stop: stop.clone().drop_guard(), stop }
    }

    /// A file of limits.
    pub(crate) fn file(&self, limits: &str) -> PathBuf {
        let path = self.folder.path().join("limits.json");
        std::fs::write(&path, limits).unwrap();
        path
    }

    /// These limits, and a Redis that may take its time: a test machine can be busy.
    pub(crate) fn limits(&self, limits: &str) -> Config {
        let source = Source::file(self.file(limits)).unwrap();
        Config { source, deadline: Duration::from_secs(1), ..Config::default() }
    }

    /// A gateway with limits of its own.
    pub(crate) fn door(self: &Arc<Behind>, limits: Config, redis: Option<Redis>) -> Door {
        self.door_to(self.producer.clone(), limits, redis)
    }

    /// The same, in front of another producer.
    pub(crate) fn door_to(
        self: &Arc<Behind>,
        producer: Router,
        limits: Config,
        redis: Option<Redis>,
    ) -> Door {
        self.open(producer, limits, redis, |_, _| Keys::new(SECRET))
    }

    fn open(
        self: &Arc<Behind>,
        producer: Router,
        limits: Config,
        redis: Option<Redis>,
        keys: impl FnOnce(&mut Registry, CancellationToken) -> Keys,
    ) -> Door {
        let mut registry = Registry::default();
        let breakers = Breakers::register(&mut registry);
        let (late, keys) = (self.store.late_events(), keys(&mut registry, self.stop.clone()));
        let parts = Parts {
            keys: keys.clone(),
            gateway_key: handoff::Key::new(KEY),
            producer: Upstream::local(producer),
            consumer: Upstream::local(self.consumer.clone()),
            store: Arc::clone(&self.store),
            topic: self.topic.viewer(),
            limiter: Limiter::new(limits, redis.clone(), &mut registry),
            reads: Reads::new(CacheConfig::default(), late, redis, &breakers, &mut registry),
            breakers,
            writes: WriteLimits::default(),
            tails: TailLimits::default(),
        };
        let router = Gateway::new(parts, self.stop.clone()).router();
        Door { router, keys, registry: Arc::new(registry), _behind: Arc::clone(self) }
    }
}

impl Door {
    /// A gateway without limits, with the keys that `keys` makes.
    pub(crate) fn open(keys: impl FnOnce(&mut Registry, CancellationToken) -> Keys) -> Door {
        let behind = Behind::new();
        behind.open(behind.producer.clone(), Config::default(), None, keys)
    }

    /// Listens at an address of this machine, until the runtime ends.
    pub(crate) fn serve(&self) -> SocketAddr {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
        let address = server.local_addr();
        tokio::spawn(server.serve(self.router.clone(), CancellationToken::new()));
        address
    }

    /// Sends a request; the answer is not read yet.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request and reads the whole answer; panics when it has no end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.respond(request).await;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(SOON, body.collect()).await;
        let body = body.unwrap_or_else(|_| panic!("{parts:?} has no end")).unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// A GET with a token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A token of the secret.
    pub(crate) fn token(&self, organization: &str) -> String {
        let scopes = format!("{READ} {WRITE}");
        self.keys.issue(&organization.parse().unwrap(), &scopes, Duration::from_secs(3600))
    }

    /// A GET of an organisation.
    pub(crate) async fn read(&self, organization: &str, path: &str) -> Answer {
        self.get(path, &self.token(organization)).await
    }

    /// Writes so many events.
    pub(crate) async fn write(&self, organization: &str, events: usize) -> Answer {
        self.post(organization, [EVENT].repeat(events).join("\n")).await
    }

    /// Writes so many events in a body that does not tell its length.
    pub(crate) async fn write_unmeasured(&self, organization: &str, events: usize) -> Answer {
        let pieces = (0..events).map(|_| Ok::<_, std::io::Error>(format!("{EVENT}\n")));
        let body = Body::from_stream(futures::stream::iter(pieces));
        self.send(self.writing(organization).body(body).unwrap()).await
    }

    pub(crate) async fn post(&self, organization: &str, body: String) -> Answer {
        let request = self.writing(organization).header("content-length", body.len());
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    fn writing(&self, organization: &str) -> http::request::Builder {
        Request::post("/api/v1/logs")
            .header("authorization", format!("Bearer {}", self.token(organization)))
            .header("content-type", "application/x-ndjson")
    }

    /// The lines of the metrics that begin so.
    pub(crate) fn metrics(&self, begin: &str) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }

    /// The value of a metric, 0 when there is none; `series` is its name with labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let lines = self.metrics(series);
        let value = lines.iter().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Asks until the answer is as it should be; panics with what came instead.
pub(crate) async fn until<T: std::fmt::Debug>(
    what: &str,
    ask: impl AsyncFn() -> T,
    good: impl Fn(&T) -> bool,
) -> T {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < SOON, "{what}: it stays {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
