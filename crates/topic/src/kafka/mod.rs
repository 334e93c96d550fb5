//! The topic on Apache Kafka, by librdkafka; built with the feature `kafka`.
//!
//! ```text
//! writer   append ─▶ in flight (bounded) ─▶ producer: idempotent, acks=all, LZ4 ─▶ one answer a request
//! reader   a member of a group, or alone: a thread that polls, a batch of each partition at hand
//! viewer   ids and ends of partitions, asked for all at once
//! ```
//! What Kafka's clients do by themselves and this one does not: positions are told by [`crate::Reader::start`] and never
//! reset; offsets are committed for tools only; a topic made anew under the same name is another one.

mod admin;
mod config;
mod context;
mod environment;
mod inflight;
mod lookup;
mod metrics;
mod native;
mod producer;
mod publisher;
mod reader;
mod settings;
mod viewer;
mod writer;

pub use admin::{TopicError, TopicSpec, ensure_topic};
pub use config::{
    Config, GroupProtocol, ReaderConfig, Sasl, SaslMechanism, Secret, Security, Tls, WriterConfig,
};
pub use metrics::Metrics;
pub use publisher::Publisher;

use crate::{Reader, Viewer, Writer};
use context::Context;
use lookup::Lookup;
use rdkafka::error::KafkaError;
use reader::{KafkaReader, Membership};
use std::sync::Arc;

/// Header of a record that says in which publication it was written, decimal.
pub const PUBLICATION: &str = "logpipeline.publication";

/// The configuration cannot work: a setting is out of range, or a file of keys cannot be read. Brokers that cannot be
/// reached are no such error; readers and writers tell of them and go on when they are there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kafka cannot be used: {0}")]
pub struct ConfigError(#[from] KafkaError);

/// A topic on Kafka.
pub struct Topic {
    config: Config,
    metrics: Metrics,
    lookup: Arc<Lookup>,
}

impl Topic {
    /// The topic of the configuration. Connects in the background.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: Config, metrics: Metrics) -> Result<Topic, ConfigError> {
        let lookup = Arc::new(Lookup::new(&config, Context { role: "viewer", metrics: None })?);
        Ok(Topic { config, metrics, lookup })
    }

    /// A writer, for all requests of the process.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn writer(&self) -> Result<Arc<dyn Writer>, ConfigError> {
        Ok(Arc::new(writer::KafkaWriter::new(&self.config, &self.metrics, self.lookup.clone())?))
    }

    /// Joins a group of readers. Dropping the reader waits a few seconds at most for the group to hear of it.
    pub fn subscribe(&self, group: &str) -> Box<dyn Reader> {
        let membership = Membership::Group(group.to_owned());
        let (config, metrics) = (self.config.clone(), self.metrics.clone());
        Box::new(KafkaReader::new(config, membership, metrics, self.lookup.clone()))
    }

    /// A viewer of the ends of the partitions.
    pub fn viewer(&self) -> Arc<dyn Viewer> {
        let (config, metrics) = (self.config.clone(), self.metrics.clone());
        Arc::new(viewer::TopicViewer { config, metrics, lookup: self.lookup.clone() })
    }
}
