//! Looking at a topic from outside: its id, its partitions and their ends, by a client that does nothing else.

use super::config::Config;
use super::context::Context;
use super::native::{self, Description, LookupError, Offsets};
use crate::PartitionOffsets;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use std::collections::HashMap;
use std::time::Duration;

const EVENTS_A_CALL: usize = 32;

/// A client to look with; its calls block.
pub(super) struct Lookup {
    client: BaseConsumer<Context>,
    topic: String,
}

impl Lookup {
    /// Connects in the background.
    pub(super) fn new(config: &Config, context: Context) -> KafkaResult<Lookup> {
        let client = BaseConsumer::from_config_and_context(&config.client(), context)?;
        Ok(Lookup { client, topic: config.topic.clone() })
    }

    /// The topic's id and partitions.
    pub(super) fn describe(&self, within: Duration) -> Result<Description, LookupError> {
        self.serve();
        native::describe(self.client.client(), &self.topic, within)
    }

    /// The ends of all partitions, by number; all of the same topic, even when one is made anew meanwhile.
    pub(super) fn offsets(&self, within: Duration) -> Result<Vec<PartitionOffsets>, LookupError> {
        let before = self.describe(within)?;
        if let Some(partition) = before.leaderless() {
            return Err(LookupError::NoLeader(partition));
        }
        let partitions: Vec<i32> = before.partitions.iter().map(|(partition, _)| *partition).collect();
        let [first, next] = native::both_ends(self.client.client(), &self.topic, &partitions, within)?;
        match self.describe(within)?.topic == before.topic {
            true => join(&before, first, &next.into_iter().collect()),
            false => Err(LookupError::Kafka("the topic was made anew meanwhile".into())),
        }
    }

    /// Logs and errors wait in the client until they are asked for; they would pile up. They come far more slowly.
    fn serve(&self) {
        for _ in 0..EVENTS_A_CALL {
            if let Some(Err(error)) = self.client.poll(Duration::ZERO) {
                tracing::debug!(%error, "looking at the topic");
            }
        }
    }
}

fn join(
    Description { topic, partitions }: &Description,
    first: Offsets,
    next: &HashMap<i32, i64>,
) -> Result<Vec<PartitionOffsets>, LookupError> {
    let topic = *topic;
    let ends = first.into_iter().filter_map(|(partition, log_start)| {
        let end = *next.get(&partition)?;
        Some(PartitionOffsets { topic, partition, log_start, end })
    });
    let mut ends: Vec<PartitionOffsets> = ends.collect();
    ends.sort_unstable_by_key(|ends| ends.partition);
    match ends.len() == partitions.len() {
        true => Ok(ends),
        false => {
            Err(LookupError::Kafka(format!("{} of {} partitions answered", ends.len(), partitions.len())))
        }
    }
}
