//! What is seen of Redis.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    outcome: &'static str,
}

/// Counts calls by their outcome; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    calls: Family<Call, Counter>,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        registry.register(
            "redis_calls",
            "Calls to Redis: ok, failed, late (after the deadline), refused (by the breaker), absent (no connection)",
            metrics.calls.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.calls.get_or_create(&Call { outcome }).inc();
    }
}
