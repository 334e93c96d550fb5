//! A whole gateway on the embedded topic and store, with producer and consumer behind it, in this process.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode},
};
use gateway::{
    CacheConfig, Gateway, Parts, Reads, TailLimits, Upstream, WriteLimits, auth::Keys, limits::Limiter,
};
use http_body_util::BodyExt;
use prometheus_client::{encoding::text::encode, registry::Registry};
use resilience::Breakers;
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{Query, Sink};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

/// Longest wait for anything that should happen soon.
const SOON: Duration = Duration::from_secs(30);

/// A gateway; what it runs on ends when it is dropped.
pub(crate) struct Door {
    router: Router,
    registry: Registry,
    _topic: topic::embedded::Topic,
    _data: TempDir,
    _stop: DropGuard,
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
    #[allow(dead_code, reason = "not all tests that share this use all of it")]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Door {
    /// A gateway with the keys that `keys` makes.
    pub(crate) fn open(keys: impl FnOnce(&mut Registry, CancellationToken) -> Keys) -> Door {
        let data = tempfile::tempdir().unwrap();
        let topic = topic::embedded::Topic::open(&data.path().join("topic.db"), Default::default()).unwrap();
        let store = store::embedded::Store::open(&data.path().join("store.db"), Default::default()).unwrap();
        let (stop, mut registry) = (CancellationToken::new(), Registry::default());
        let (breakers, gateway_key) = (Breakers::register(&mut registry), handoff::Key::new(b"of the tests"));
        let (config, key) = (producer::Config::default(), gateway_key.clone());
        let producer = producer::Producer::new(config, key, topic.writer(), &breakers, &mut registry);
        let sink = Arc::new(store.clone()) as Arc<dyn Sink>;
        let consumer = consumer::Consumer::new(consumer::Config::default(), sink, &breakers, &mut registry);
        let parts = Parts {
            keys: keys(&mut registry, stop.clone()),
            gateway_key,
            producer: Upstream::local(producer.router()),
            consumer: Upstream::local(consumer.router()),
            topic: topic.viewer(),
            limiter: Limiter::new(gateway::limits::Config::default(), None, &mut registry),
            reads: Reads::new(CacheConfig::default(), store.late_events(), None, &breakers, &mut registry),
            store: Arc::new(store),
            breakers,
            writes: WriteLimits::default(),
            tails: TailLimits::default(),
        };
        let (reader, stopped) = (topic.subscribe("store"), stop.clone());
        tokio::spawn(async move { consumer.run(reader, stopped).await });
        let router = Gateway::new(parts, stop.clone()).router();
        Door { router, registry, _topic: topic, _data: data, _stop: stop.drop_guard() }
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

    /// The value of a metric, 0 when there is none; `series` is its name with labels.
    #[allow(dead_code, reason = "not all tests that share this use all of it")]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
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
