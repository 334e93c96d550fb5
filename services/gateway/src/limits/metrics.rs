//! What is seen of the limits.

use super::{Kind, local::Local};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};
use std::{fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    kind: &'static str,
    by: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Counters of one limiter; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    decisions: Family<Decision, Counter>,
    settled: Family<Outcome, Counter>,
    reads: Family<Outcome, Counter>,
    good: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry, local: Arc<Local>) -> Metrics {
        let metrics = Metrics::default();
        let Metrics { decisions, settled, reads, good } = metrics.clone();
        registry.register(
            "rate_limit_decisions",
            "Requests that have a limit: who decided (redis, local, open, closed), and whether it was allowed or limited",
            decisions,
        );
        registry.register(
            "rate_limit_settlements",
            "Differences between estimate and cost: settled in Redis, failed there, dropped because too many waited",
            settled,
        );
        registry.register(
            "rate_limit_file_changes",
            "New contents of the file of limits: changed, or refused because they cannot be used",
            reads,
        );
        registry.register(
            "rate_limit_file_good",
            "1 when the limits that hold are those of the file, 0 when the file cannot be used",
            good,
        );
        registry.register_collector(Box::new(Known(local)));
        metrics
    }

    pub(super) fn decided(&self, kind: Kind, by: &'static str, allowed: bool) {
        let outcome = if allowed { "allowed" } else { "limited" };
        self.decisions.get_or_create(&Decision { kind: kind.name(), by, outcome }).inc();
    }

    pub(super) fn settled(&self, outcome: &'static str, count: usize) {
        self.settled.get_or_create(&Outcome { outcome }).inc_by(count as u64);
    }

    pub(super) fn file_was_read(&self, outcome: &'static str) {
        self.reads.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn file_is_good(&self, good: bool) {
        self.good.set(good.into());
    }
}

#[derive(Debug)]
struct Known(Arc<Local>);

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.len()).unwrap_or(i64::MAX));
        let help = "Organisations of which this gateway keeps local buckets";
        gauge.encode(encoder.encode_descriptor(
            "rate_limit_local_organizations",
            help,
            None,
            gauge.metric_type(),
        )?)
    }
}
