//! What is measured of tokens and keys.

use super::{error::AuthError, jwks::Jwks};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Requests that were not let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Family<Reason, Counter>);

impl Refusals {
    pub(super) fn count(&self, error: &AuthError) {
        self.0.get_or_create(&Reason { reason: error.reason() }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("auth_refused", "Requests that were not let in, by reason", self.0.clone());
    }
}

/// Fetches of the issuer's keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetches(Family<OutcomeLabel, Counter>);

impl Fetches {
    pub(super) fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("jwks_fetches", "Fetches of the issuer's keys, by outcome", self.0.clone());
    }
}

/// How old the issuer's keys are and how many, looked at when it is asked.
#[derive(Debug)]
pub(super) struct KeySetGauges(pub(super) Jwks);

impl Collector for KeySetGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let (count, age) = self.0.known();
        gauge("jwks_keys", "Keys of the issuer that tokens are verified with", count)?;
        if let Some(age) = age {
            let help = "Time since the issuer's keys were last fetched, in seconds";
            gauge("jwks_age_seconds", help, age.as_secs_f64())?;
        }
        Ok(())
    }
}
