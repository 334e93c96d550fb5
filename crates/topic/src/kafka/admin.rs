//! Making a topic.

use super::config::Config;
use super::context::Context;
use super::lookup::Lookup;
use super::native::LookupError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::{Duration, Instant};

const MADE_WITHIN: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A topic to make.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each, the leader's included.
    pub replication: i32,
    /// Settings of the topic, as `retention.ms`.
    pub settings: Vec<(String, String)>,
}

/// Why a topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The brokers refused, or could not be asked.
    #[error("the topic cannot be made: {0}")]
    Kafka(#[from] KafkaError),
    /// It was made, and cannot be written to.
    #[error("the topic is not ready: {0}")]
    NotReady(String),
    /// It is there, with another number of partitions.
    #[error("the topic has {found} partitions and not {asked}")]
    Partitions {
        /// Partitions it has.
        found: usize,
        /// Partitions asked for.
        asked: i32,
    },
}

/// Makes the topic of the configuration when it is not there, and waits until each partition has a leader. A topic
/// that is there is left as it is.
///
/// # Errors
/// [`TopicError`].
pub async fn ensure_topic(config: &Config, spec: &TopicSpec) -> Result<(), TopicError> {
    let client = config.client();
    let admin = AdminClient::<DefaultClientContext>::from_config(&client)?;
    let mut topic = NewTopic::new(&config.topic, spec.partitions, TopicReplication::Fixed(spec.replication));
    for (name, value) in &spec.settings {
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new().request_timeout(Some(MADE_WITHIN));
    for made in admin.create_topics([&topic], &options).await? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code).into()),
        }
    }
    let (config, asked) = (config.clone(), spec.partitions);
    let ready = tokio::task::spawn_blocking(move || wait_until_ready(&config, asked)).await;
    ready.map_err(|error| TopicError::NotReady(error.to_string()))?
}

fn wait_until_ready(config: &Config, asked: i32) -> Result<(), TopicError> {
    let lookup = Lookup::new(config, Context { role: "admin", metrics: None })?;
    let deadline = Instant::now() + MADE_WITHIN;
    loop {
        let described = lookup.describe(ANSWERED_WITHIN).and_then(|described| match described.leaderless() {
            Some(partition) => Err(LookupError::NoLeader(partition)),
            None => Ok(described.partitions.len()),
        });
        match described {
            Ok(found) if i32::try_from(found) == Ok(asked) => return Ok(()),
            Ok(found) => return Err(TopicError::Partitions { found, asked }),
            Err(error) if Instant::now() >= deadline => return Err(TopicError::NotReady(error.to_string())),
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}
