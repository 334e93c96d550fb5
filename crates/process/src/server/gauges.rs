//! Counts of a server's connections.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    pub(super) open: Gauge,
    pub(super) evicted: Counter,
    pub(super) refused: Counter,
    pub(super) timed_out: Counter,
    pub(super) stalled_streams: Counter,
}

impl Gauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("http_server_connections", "Open connections", self.open.clone());
        registry.register(
            "http_server_connections_evicted",
            "Idle connections closed to make room for new ones",
            self.evicted.clone(),
        );
        registry.register(
            "http_server_connections_refused",
            "Connections answered 503 because all others were at work",
            self.refused.clone(),
        );
        registry.register(
            "http_server_connections_timed_out",
            "Connections closed for a slow head, a stalled answer or long idleness",
            self.timed_out.clone(),
        );
        registry.register(
            "http_server_streams_stalled",
            "HTTP/2 streams reset because the client took nothing of their answer",
            self.stalled_streams.clone(),
        );
    }
}
