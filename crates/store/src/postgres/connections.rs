//! What is seen of the pool of connections.

use super::lease::Pool;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::fmt;

#[derive(Debug)]
pub(super) struct Connections(pub(super) Pool);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (open, idle, most) = self.0.connections();
        let help = "Connections to the database that this process has open";
        let mut family = encoder.encode_descriptor("database_connections", help, None, MetricType::Gauge)?;
        for (state, count) in [("used", open.saturating_sub(idle)), ("idle", idle)] {
            ConstGauge::new(i64::from(count)).encode(family.encode_family(&[("state", state)])?)?;
        }
        let help = "Connections to the database that this process opens at most";
        let gauge = ConstGauge::new(i64::from(most));
        gauge.encode(encoder.encode_descriptor("database_connections_max", help, None, MetricType::Gauge)?)
    }
}
