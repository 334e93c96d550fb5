//! What the producer counts.

use prometheus_client::{
    metrics::{counter::Counter, exemplar::HistogramWithExemplars},
    registry::Registry,
};
use trace::Exemplar;

/// Counters of one producer; clones count together.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) accepted: Counter,
    pub(crate) rejected: Counter,
    pub(crate) unavailable: Counter,
    pub(crate) append_seconds: HistogramWithExemplars<Exemplar>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            accepted: Counter::default(),
            rejected: Counter::default(),
            unavailable: Counter::default(),
            append_seconds: HistogramWithExemplars::new(
                [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0].into_iter(),
            ),
        };
        registry.register(
            "producer_events_accepted",
            "Events answered as accepted: durable in the topic",
            metrics.accepted.clone(),
        );
        registry.register(
            "producer_events_rejected",
            "Events refused because of what they are",
            metrics.rejected.clone(),
        );
        registry.register(
            "producer_events_unavailable",
            "Events not taken because the topic could not take them",
            metrics.unavailable.clone(),
        );
        registry.register(
            "producer_append_duration_seconds",
            "Time from append to acknowledgement, a request",
            metrics.append_seconds.clone(),
        );
        metrics
    }
}
