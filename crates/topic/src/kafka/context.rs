//! What librdkafka says by itself: log lines, errors, statistics.

use super::metrics::ClientMetrics;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;

/// Passes on what a client says.
pub(super) struct Context {
    /// What the client is for.
    pub(super) role: &'static str,
    pub(super) metrics: Option<ClientMetrics>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let role = self.role;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::warn!(role, facility, "{message}"),
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => tracing::info!(role, facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(role, facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        if let Some(metrics) = &self.metrics {
            metrics.update(&statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Connections come and go; what it means for records is told where they are waited for.
        tracing::debug!(role = self.role, %error, "{reason}");
    }
}

impl ConsumerContext for Context {}

/// For a producer that hears of its transactions, not of each record.
impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
