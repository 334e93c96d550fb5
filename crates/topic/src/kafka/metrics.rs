//! The few numbers of librdkafka's statistics that say whether the topic keeps up.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rdkafka::statistics::Statistics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of the clients of a topic; clones show the same. Updated every few seconds.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    queue_records: Family<ClientLabels, Gauge>,
    queue_bytes: Family<ClientLabels, Gauge>,
    round_trip: Family<ClientLabels, Gauge<f64, AtomicU64>>,
    records: Family<ClientLabels, Counter>,
    errors: Family<ClientLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    client: &'static str,
}

impl Metrics {
    /// Numbers that `registry` shows.
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        let Metrics { queue_records, queue_bytes, round_trip, records, errors } = metrics.clone();
        registry.register(
            "kafka_client_queue_records",
            "Records between the process and the brokers: not acknowledged, or fetched and not read",
            queue_records,
        );
        registry.register_with_unit("kafka_client_queue", "Bytes of those records", Unit::Bytes, queue_bytes);
        registry.register_with_unit(
            "kafka_client_round_trip",
            "Mean time that the slowest broker took to answer",
            Unit::Seconds,
            round_trip,
        );
        registry.register("kafka_client_records", "Records acknowledged, or fetched", records);
        registry.register("kafka_client_request_errors", "Requests that failed or timed out", errors);
        metrics
    }

    pub(super) fn of(&self, client: &'static str) -> ClientMetrics {
        ClientMetrics { metrics: self.clone(), labels: ClientLabels { client }, seen: Arc::default() }
    }
}

/// The numbers of one client. Its totals begin anew with it, the counters do not.
#[derive(Debug, Clone)]
pub(super) struct ClientMetrics {
    metrics: Metrics,
    labels: ClientLabels,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    records: AtomicU64,
    errors: AtomicU64,
}

impl ClientMetrics {
    pub(super) fn update(&self, statistics: &Statistics) {
        let (metrics, labels) = (&self.metrics, &self.labels);
        let partitions = || statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let fetched: (i64, u64) = partitions().fold((0, 0), |(count, size), partition| {
            (count + partition.fetchq_cnt, size + partition.fetchq_size)
        });
        let queued = fetched.0.saturating_add_unsigned(statistics.msg_cnt);
        metrics.queue_records.get_or_create(labels).set(queued);
        metrics
            .queue_bytes
            .get_or_create(labels)
            .set(0_i64.saturating_add_unsigned(statistics.msg_size + fetched.1));
        let brokers = || statistics.brokers.values();
        let slowest = brokers().filter_map(|broker| broker.rtt.as_ref()).map(|rtt| rtt.avg).max();
        metrics.round_trip.get_or_create(labels).set(seconds(slowest.unwrap_or(0)));
        let records = statistics.txmsgs.max(statistics.rxmsgs).unsigned_abs();
        count(&metrics.records.get_or_create(labels), &self.seen.records, records);
        let errors = brokers().map(|broker| broker.txerrs + broker.rxerrs + broker.req_timeouts).sum();
        count(&metrics.errors.get_or_create(labels), &self.seen.errors, errors);
    }
}

fn count(counter: &Counter, seen: &AtomicU64, total: u64) {
    counter.inc_by(total.saturating_sub(seen.swap(total, Ordering::Relaxed)));
}

fn seconds(micros: i64) -> f64 {
    std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn totals_of_a_client_made_anew_count_on() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for totals in [vec![3, 10], vec![2]] {
            let client = metrics.of("writer");
            for txmsgs in totals {
                client.update(&Statistics { txmsgs, ..Statistics::default() });
            }
        }
        let mut shown = String::new();
        encode(&mut shown, &registry).unwrap();
        assert!(shown.contains("kafka_client_records_total{client=\"writer\"} 12"), "{shown}");
    }
}
