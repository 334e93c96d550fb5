//! Looking at a topic from outside: its id, its partitions and their ends, by a client that does nothing else.

use super::config::Config;
use super::context::Context;
use super::native::{self, Description, LookupError};
use crate::PartitionOffsets;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
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
        let mut settings = config.client();
        // The end is where the next record goes, also behind a transaction that is still open.
        settings.set("isolation.level", "read_uncommitted");
        let client = BaseConsumer::from_config_and_context(&settings, context)?;
        Ok(Lookup { client, topic: config.topic.clone() })
    }

    /// The topic's id and partitions.
    pub(super) fn describe(&self, within: Duration) -> Result<Description, LookupError> {
        self.serve();
        // The admin API connects to a broker that is away again and again without a pause, as long as it waits for it
        // (librdkafka 2.12). This waits for one with pauses; who has answered will answer again.
        let found = self.client.fetch_metadata(Some(&self.topic), within);
        found.map_err(|error| LookupError::Kafka(error.to_string()))?;
        native::describe(self.client.client(), &self.topic, within)
    }

    /// The ends of all partitions, by number; all of the same topic, even when one is made anew meanwhile.
    pub(super) fn offsets(&self, within: Duration) -> Result<Vec<PartitionOffsets>, LookupError> {
        let before = self.describe(within)?;
        if let Some(partition) = before.leaderless() {
            return Err(LookupError::NoLeader(partition));
        }
        let partitions: Vec<i32> = before.partitions.iter().map(|(partition, _)| *partition).collect();
        let first = self.each(&partitions, Offset::Beginning, within)?;
        let next = self.each(&partitions, Offset::End, within)?;
        match self.describe(within)?.topic == before.topic {
            true => join(&before, &first, &next),
            false => Err(LookupError::Kafka("the topic was made anew meanwhile".into())),
        }
    }

    /// Where one end of each partition is. Asked for as a time, not by the admin API: see [`Lookup::describe`].
    fn each(
        &self,
        partitions: &[i32],
        end: Offset,
        within: Duration,
    ) -> Result<HashMap<i32, i64>, LookupError> {
        let kafka = |error: rdkafka::error::KafkaError| LookupError::Kafka(error.to_string());
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(&self.topic, *partition, end).map_err(kafka)?;
        }
        let list = self.client.offsets_for_times(list, within).map_err(kafka)?;
        list.elements().iter().map(answered).collect()
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

/// A partition that was not answered for has an offset that is none (-1001), and not always an error.
fn answered(element: &TopicPartitionListElem<'_>) -> Result<(i32, i64), LookupError> {
    let partition = element.partition();
    match (element.error().map_err(|error| error.rdkafka_error_code()), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => Ok((partition, offset)),
        (Err(Some(error)), _) => Err(LookupError::Partition { partition, error }),
        _ => Err(LookupError::Kafka(format!("partition {partition} was not answered for"))),
    }
}

fn join(
    Description { topic, partitions }: &Description,
    first: &HashMap<i32, i64>,
    next: &HashMap<i32, i64>,
) -> Result<Vec<PartitionOffsets>, LookupError> {
    let topic = *topic;
    let ends = first.iter().filter_map(|(partition, log_start)| {
        let end = *next.get(partition)?;
        Some(PartitionOffsets { topic, partition: *partition, log_start: *log_start, end })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken for the start of the log, it once made a ledger that began 1001 records too early.
    #[test]
    fn an_offset_that_is_none_is_no_answer() {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in [(0, Offset::Offset(7)), (1, Offset::Invalid), (2, Offset::End)] {
            list.add_partition_offset("logs", partition, offset).unwrap();
        }
        let answers: Vec<_> = list.elements().iter().map(answered).collect();
        assert_eq!(answers[0], Ok((0, 7)));
        for none in &answers[1..] {
            assert!(matches!(none, Err(LookupError::Kafka(why)) if why.contains("was not answered for")));
        }
    }
}
