//! Everything the gateway answers.

use crate::{
    Reads, TailLimits, Upstream, WriteLimits, admission::Admission, audit, auth::Keys, forward, ledger,
    limits, limits::Limiter, openapi, overview, search, stats, tail, tail::Tail, ui,
};
use axum::{
    Router,
    routing::{get, post},
};
use process::problem;
use prometheus_client::registry::Registry;
use resilience::Breakers;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::Query;
use tokio_util::sync::CancellationToken;
use topic::Viewer;

/// What stands behind the gateway.
pub struct Parts {
    /// Checks tokens.
    pub keys: Keys,
    /// Tells the producer whose a request is.
    pub gateway_key: handoff::Key,
    /// Takes the writes.
    pub producer: Upstream,
    /// Tells how consuming goes.
    pub consumer: Upstream,
    /// Answers the reads.
    pub store: Arc<dyn Query>,
    /// How it is asked.
    pub reads: Reads,
    /// For lag and live tail.
    pub topic: Arc<dyn Viewer>,
    /// Keeps organisations within their limits.
    pub limiter: Limiter,
    /// The circuit breakers before all of these.
    pub breakers: Breakers,
    /// How many writes may be under way.
    pub writes: WriteLimits,
    /// How many clients may look on.
    pub tails: TailLimits,
}

/// A gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    parts: Parts,
    admission: Admission,
    tail: Tail,
    since: Instant,
}

impl Gateway {
    /// A gateway whose endless answers end at `stop`. Needs a runtime.
    pub fn new(parts: Parts, stop: CancellationToken) -> Gateway {
        let tail = Tail::new(Arc::clone(&parts.topic), parts.tails, stop);
        let admission = Admission::new(parts.writes);
        Gateway(Arc::new(Inner { parts, admission, tail, since: Instant::now() }))
    }

    /// Looks from now on at what the topic and the ledger say, and shows it in `registry`. Needs a runtime.
    pub fn audit(&self, registry: &mut Registry) {
        audit::start(self.clone(), registry, self.0.tail.stop().clone());
    }

    /// The API and the web page.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/logs", post(forward::forward).get(search::search))
            .route("/api/v1/logs/{id}", get(search::get))
            .route("/api/v1/stats", get(stats::stats))
            .route("/api/v1/tail", get(tail::tail))
            .route("/api/v1/overview", get(overview::overview))
            .route("/api/v1/ledger", get(ledger::ledger))
            .route("/api/v1/limits", get(limits::limits))
            .route_layer(limits::ShowLimits)
            .route("/api/v1/openapi.json", get(openapi::openapi))
            .route("/", get(ui::index))
            .route("/ui/{name}", get(ui::file))
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(self.clone())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.parts.keys
    }

    pub(crate) fn gateway_key(&self) -> &handoff::Key {
        &self.0.parts.gateway_key
    }

    pub(crate) fn producer(&self) -> &Upstream {
        &self.0.parts.producer
    }

    pub(crate) fn consumer(&self) -> &Upstream {
        &self.0.parts.consumer
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.0.parts.reads
    }

    /// To be asked by [`Gateway::reads`] only.
    pub(crate) fn store(&self) -> &dyn Query {
        &*self.0.parts.store
    }

    pub(crate) fn topic(&self) -> &dyn Viewer {
        &*self.0.parts.topic
    }

    pub(crate) fn breakers(&self) -> &Breakers {
        &self.0.parts.breakers
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.0.tail
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.0.parts.limiter
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.0.since.elapsed()
    }
}
