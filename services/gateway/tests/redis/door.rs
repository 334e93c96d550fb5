//! A gateway in front of a real producer and embedded parts, in this process.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response, StatusCode},
};
use gateway::{
    CacheConfig, Gateway, Parts, Reads, TailLimits, Upstream, WriteLimits,
    auth::{Keys, READ, WRITE},
    limits::{Config, Limiter, Source},
    redis::Redis,
};
use process::server::{Limits, Server};
use prometheus_client::{encoding::text::encode, registry::Registry};
use resilience::Breakers;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use store::Query;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The key of gateways and producer.
const KEY: &[u8] = b"a key of the tests, 32 bytes or more";
const EVENT: &str = r#"{"level":"info","service":"test","message":"an event as long as such events are"}"#;

/// What stands behind all gateways of a test.
pub(crate) struct Behind {
    folder: TempDir,
    topic: topic::embedded::Topic,
    store: Arc<dyn Query>,
    producer: Router,
}

/// One gateway.
#[derive(Clone)]
pub(crate) struct Door {
    router: Router,
    keys: Keys,
    registry: Arc<Registry>,
}

/// An answer that has been read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: serde_json::Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Behind {
    /// All embedded.
    pub(crate) fn new() -> Behind {
        let folder = tempfile::tempdir().unwrap();
        let store =
            store::embedded::Store::open(&folder.path().join("store.db"), Default::default()).unwrap();
        Behind::in_folder(folder, Arc::new(store))
    }

    /// With another store.
    pub(crate) fn over(store: Arc<dyn Query>) -> Behind {
        Behind::in_folder(tempfile::tempdir().unwrap(), store)
    }

    fn in_folder(folder: TempDir, store: Arc<dyn Query>) -> Behind {
        let topic =
            topic::embedded::Topic::open(&folder.path().join("topic.db"), Default::default()).unwrap();
        let (key, breakers) = (handoff::Key::new(KEY), Breakers::default());
        let mut registry = Registry::default();
        let producer =
            producer::Producer::new(Default::default(), key, topic.writer(), &breakers, &mut registry)
                .router();
        Behind { folder, topic, store, producer }
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

    /// A gateway with limits of its own, in front of the same producer.
    pub(crate) fn door(&self, limits: Config, redis: Option<Redis>) -> Door {
        self.door_to(self.producer.clone(), limits, redis)
    }

    pub(crate) fn door_to(&self, producer: Router, limits: Config, redis: Option<Redis>) -> Door {
        let keys = Keys::new(b"a secret of at least thirty-two bytes");
        let (mut registry, breakers) = (Registry::default(), Breakers::default());
        let parts = Parts {
            keys: keys.clone(),
            gateway_key: handoff::Key::new(KEY),
            producer: Upstream::local(producer),
            consumer: Upstream::local(Router::new()),
            store: Arc::clone(&self.store),
            topic: self.topic.viewer(),
            limiter: Limiter::new(limits, redis.clone(), &mut registry),
            reads: Reads::new(
                CacheConfig::default(),
                self.store.late_events(),
                redis,
                &breakers,
                &mut registry,
            ),
            breakers,
            writes: WriteLimits::default(),
            tails: TailLimits::default(),
        };
        let router = Gateway::new(parts, CancellationToken::new()).router();
        Door { router, keys, registry: Arc::new(registry) }
    }
}

impl Door {
    /// Listens at an address of this machine, until the runtime ends.
    pub(crate) fn serve(&self) -> SocketAddr {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
        let address = server.local_addr();
        tokio::spawn(server.serve(self.router.clone(), CancellationToken::new()));
        address
    }

    /// The lines of the metrics that begin so.
    pub(crate) fn metrics(&self, begin: &str) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }

    /// The value of a metric, 0 when there is none; `series` is its name with labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let found =
            self.metrics(series).into_iter().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    pub(crate) fn token(&self, organization: &str) -> String {
        let scopes = format!("{READ} {WRITE}");
        self.keys.issue(&organization.parse().unwrap(), &scopes, Duration::from_secs(3600))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, organization: &str, path: &str) -> Answer {
        self.get_with(&self.token(organization), path).await
    }

    pub(crate) async fn get_with(&self, token: &str, path: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        self.send(Request::get(path).header("authorization", authorization).body(Body::empty()).unwrap())
            .await
    }

    /// Writes so many events.
    pub(crate) async fn write(&self, organization: &str, events: usize) -> Answer {
        self.post(organization, [EVENT].repeat(events).join("\n")).await
    }

    /// Writes so many events in a body that does not tell its length.
    pub(crate) async fn write_unmeasured(&self, organization: &str, events: usize) -> Answer {
        let pieces = (0..events).map(|_| Ok::<_, std::io::Error>(format!("{EVENT}\n")));
        let request = Request::post("/api/v1/logs")
            .header("authorization", format!("Bearer {}", self.token(organization)))
            .header("content-type", "application/x-ndjson")
            .body(Body::from_stream(futures::stream::iter(pieces)))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn post(&self, organization: &str, body: String) -> Answer {
        let request = Request::post("/api/v1/logs")
            .header("authorization", format!("Bearer {}", self.token(organization)))
            .header("content-type", "application/x-ndjson")
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }
}
