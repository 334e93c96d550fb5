//! Everything the gateway answers.

use crate::{Upstream, auth::Keys, forward, ledger, openapi, overview, search, stats, tail, tail::Tail, ui};
use axum::{
    Router,
    routing::{get, post},
};
use process::problem;
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
    /// Takes the writes.
    pub producer: Upstream,
    /// Tells how consuming goes.
    pub consumer: Upstream,
    /// Answers the reads.
    pub store: Arc<dyn Query>,
    /// For lag and live tail.
    pub topic: Arc<dyn Viewer>,
}

/// A gateway; clones share everything.
#[derive(Clone)]
pub struct Gateway {
    parts: Arc<Parts>,
    tail: Tail,
    since: Instant,
}

impl Gateway {
    /// A gateway whose endless answers end at `stop`.
    pub fn new(parts: Parts, stop: CancellationToken) -> Gateway {
        let tail = Tail::new(Arc::clone(&parts.topic), stop);
        Gateway { parts: Arc::new(parts), tail, since: Instant::now() }
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
            .route("/api/v1/openapi.json", get(openapi::openapi))
            .route("/", get(ui::index))
            .route("/ui/{name}", get(ui::file))
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(self.clone())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.parts.keys
    }

    pub(crate) fn producer(&self) -> &Upstream {
        &self.parts.producer
    }

    pub(crate) fn consumer(&self) -> &Upstream {
        &self.parts.consumer
    }

    pub(crate) fn store(&self) -> &dyn Query {
        &*self.parts.store
    }

    pub(crate) fn topic(&self) -> &dyn Viewer {
        &*self.parts.topic
    }

    pub(crate) fn tail(&self) -> &Tail {
        &self.tail
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.since.elapsed()
    }
}
