//! What the read cache shows of itself.

use super::kept::Kept;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::fmt;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// Answered by what was kept.
    Hit,
    /// Answered by what another gateway had kept.
    Shared,
    /// The store was asked.
    Miss,
    /// Waited for the same question of another.
    Joined,
    /// The store did not answer, what was kept did.
    Stale,
    /// No answer.
    Error,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let name = match self {
            Outcome::Hit => "hit",
            Outcome::Shared => "shared",
            Outcome::Miss => "miss",
            Outcome::Joined => "joined",
            Outcome::Stale => "stale",
            Outcome::Error => "error",
        };
        name.encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(super) struct Metrics(Family<Labels, Counter>);

impl Metrics {
    pub(super) fn register(registry: &mut Registry, kept: Kept) -> Metrics {
        let requests = Family::<Labels, Counter>::default();
        registry.register("read_cache_requests", "Questions by what became of them", requests.clone());
        registry.register_collector(Box::new(Size(kept)));
        Metrics(requests)
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.0.get_or_create(&Labels { outcome }).inc();
    }
}

#[derive(Debug)]
struct Size(Kept);

impl Collector for Size {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (bytes, entries) = self.0.size();
        for (name, help, value) in [
            ("read_cache_bytes", "Bytes of the answers kept in this process", bytes),
            ("read_cache_entries", "Answers kept in this process", entries),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
