//! Metrics of a process: a registry, `GET /metrics` in OpenMetrics text, and what every process measures.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::problem::Problem;

mod http_layer;
mod proc;
mod server_span;

pub use http_layer::{HttpLayer, HttpMetrics};

/// OpenMetrics 1.0 text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets for latencies in seconds, from 0.5 ms to 10 s; 200 ms is one of them, since an alert asks for it.
pub const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of a process while they are being registered.
///
/// Holds `process_*` (from `/proc`) and `http_server_request_duration_seconds` under their conventional names, and
/// the product's own under its prefix, those of its traces among them.
#[derive(Debug)]
pub struct Metrics {
    root: Registry,
    prefix: &'static str,
    http: HttpMetrics,
}

impl Metrics {
    /// Metrics of a product; its own are named `<prefix>_…`.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(proc::ProcessCollector));
        let http = HttpMetrics::default();
        http.register(&mut root);
        trace::register(root.sub_registry_with_prefix(prefix));
        Self { root, prefix, http }
    }

    /// Where the product registers its own metrics; names get the prefix, counters `_total`.
    pub fn registry(&mut self) -> &mut Registry {
        self.root.sub_registry_with_prefix(self.prefix)
    }

    /// Where metrics with conventional names go, for example those of [`crate::server::Server::register`].
    pub fn root(&mut self) -> &mut Registry {
        &mut self.root
    }

    /// A layer for [`Router::layer`] that measures and traces requests by method, route and status; see [`HttpLayer`].
    #[must_use]
    pub fn http_layer(&self) -> HttpLayer {
        HttpLayer::new(self.http.clone())
    }

    /// `GET /metrics`. Registering ends here.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new().route("/metrics", get(scrape)).with_state(Arc::new(self.root))
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::with_capacity(16 << 10);
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded").into_response()
        }
    }
}
