//! What is seen of Redis.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use resilience::{SharedBreaker, State};
use std::fmt;

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
    pub(super) fn register(registry: &mut Registry, breaker: SharedBreaker) -> Metrics {
        let metrics = Metrics::default();
        registry.register(
            "redis_calls",
            "Calls to Redis: ok, failed, late (after the deadline), refused (by the breaker), absent (no connection)",
            metrics.calls.clone(),
        );
        registry.register_collector(Box::new(BreakerState(breaker)));
        metrics
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.calls.get_or_create(&Call { outcome }).inc();
    }
}

/// 1 for the state that the breaker has, 0 for all others.
#[derive(Debug)]
struct BreakerState(SharedBreaker);

impl Collector for BreakerState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.snapshot().state;
        let gauge = ConstGauge::new(0_i64);
        let help = "1 for the state of the circuit breaker around Redis";
        let mut family = encoder.encode_descriptor("redis_breaker_state", help, None, gauge.metric_type())?;
        for state in State::ALL {
            let labels = [("state", state.name())];
            ConstGauge::new(i64::from(state == now)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
