//! What the consumer counts.

use prometheus_client::{
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, gauge::Gauge},
    registry::Registry,
};
use trace::Exemplar;

/// Counters of one consumer; clones count together.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) stored: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) set_aside: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) lost: Counter,
    pub(crate) truncations: Counter,
    pub(crate) flushes: Counter,
    pub(crate) flush_seconds: HistogramWithExemplars<Exemplar>,
    pub(crate) holding: Gauge,
    pub(crate) assigned: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            stored: Counter::default(),
            duplicates: Counter::default(),
            set_aside: Counter::default(),
            dead_lettered: Counter::default(),
            lost: Counter::default(),
            truncations: Counter::default(),
            flushes: Counter::default(),
            flush_seconds: HistogramWithExemplars::new(
                [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0].into_iter(),
            ),
            holding: Gauge::default(),
            assigned: Gauge::default(),
        };
        let counters = [
            ("consumer_events_stored", "Events stored", &metrics.stored),
            (
                "consumer_events_duplicate",
                "Of the stored: repetitions of an event, kept once",
                &metrics.duplicates,
            ),
            ("consumer_events_set_aside", "Records that could not be stored at first", &metrics.set_aside),
            ("consumer_events_dead_lettered", "Records given up after all retries", &metrics.dead_lettered),
            ("consumer_events_lost", "Offsets deleted by retention before they were read", &metrics.lost),
            (
                "consumer_truncations",
                "Times that a partition lost its end, with records stored already",
                &metrics.truncations,
            ),
            ("consumer_flushes", "Transactions committed", &metrics.flushes),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "consumer_flush_duration_seconds",
            "Time of one transaction, from its start to its commit",
            metrics.flush_seconds.clone(),
        );
        let gauges = [
            ("consumer_partitions_holding", "Partitions that wait for the store", &metrics.holding),
            ("consumer_partitions_assigned", "Partitions that this consumer owns", &metrics.assigned),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }
}
