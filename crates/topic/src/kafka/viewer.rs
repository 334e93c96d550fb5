//! The viewer: ends of partitions, and readers without a group.

use super::config::Config;
use super::lookup::Lookup;
use super::metrics::Metrics;
use super::reader::{KafkaReader, Membership};
use crate::{PartitionOffsets, ReadError, Reader, Viewer};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Looks at the partitions of a topic.
pub(super) struct TopicViewer {
    pub(super) config: Config,
    pub(super) metrics: Metrics,
    pub(super) lookup: Arc<Lookup>,
}

#[async_trait]
impl Viewer for TopicViewer {
    async fn offsets(&self) -> Result<Vec<PartitionOffsets>, ReadError> {
        let lookup = self.lookup.clone();
        let looked = tokio::task::spawn_blocking(move || lookup.offsets(ANSWERED_WITHIN)).await;
        let offsets = looked.map_err(|error| ReadError(error.to_string()))?;
        offsets.map_err(|error| ReadError(error.to_string()))
    }

    fn tail(&self) -> Box<dyn Reader> {
        let (config, metrics) = (self.config.clone(), self.metrics.clone());
        Box::new(KafkaReader::new(config, Membership::Alone, metrics, self.lookup.clone()))
    }
}
