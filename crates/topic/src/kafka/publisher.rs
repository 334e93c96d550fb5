//! Numbered batches of records, each written whole and once: what the relay of dead letters needs.
//!
//! One transactional id for all relays of a pipeline: whoever begins shuts out the one before (KIP-98). It then reads
//! the newest committed number from the topic itself, so it knows what was written, whoever wrote it and however that
//! one ended.

use super::config::Config;
use super::context::Context;
use super::lookup::Lookup;
use super::{ConfigError, PUBLICATION};
use crate::{AppendError, NewRecord};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// Records looked at from the end of a partition at first; ten times as many each time none of them is committed.
const LOOK_BACK: i64 = 1_000;

/// Writes numbered batches. Nothing connects before the first of them.
pub struct Publisher {
    state: Arc<Mutex<State>>,
}

struct State {
    config: Config,
    id: String,
    /// None at first and after every error: the next batch begins anew.
    open: Option<Open>,
}

struct Open {
    producer: ThreadedProducer<Context>,
    /// Number of the newest batch in the topic.
    newest: Option<i64>,
}

impl Publisher {
    /// A publisher to `topic` on the brokers of `config`; `id` is the same for all that take turns.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: &Config, topic: &str, id: &str) -> Result<Publisher, ConfigError> {
        let config = Config { topic: topic.to_owned(), ..config.clone() };
        config.client().create_native_config()?;
        let state = State { config, id: format!("{id}-dead-letters"), open: None };
        Ok(Publisher { state: Arc::new(Mutex::new(state)) })
    }

    /// Writes a batch in one transaction, unless one of this or a higher number is in the topic already. Each record
    /// carries the number in the header [`PUBLICATION`]. Numbers rise.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`]: it may have been written nevertheless; the same call again finds out.
    pub async fn publish(&self, number: i64, records: Vec<NewRecord>) -> Result<(), AppendError> {
        let state = self.state.clone();
        let publish = move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.publish(number, &records)
        };
        let done = tokio::task::spawn_blocking(publish).await;
        done.map_err(|error| AppendError::Unavailable(error.to_string()))?
            .map_err(|error| AppendError::Unavailable(error.to_string()))
    }
}

impl State {
    fn publish(&mut self, number: i64, records: &[NewRecord]) -> Result<(), KafkaError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        if open.newest.is_none_or(|newest| newest < number) {
            open.write(&self.config.topic, number, records)?;
            open.newest = Some(number);
        }
        self.open = Some(open);
        Ok(())
    }

    /// Shuts out the one before, then looks how far it came.
    fn begin(&self) -> Result<Open, KafkaError> {
        let mut client = self.config.producer();
        client.set("transactional.id", &self.id);
        let producer: ThreadedProducer<Context> =
            ThreadedProducer::from_config_and_context(&client, Context { role: "publisher", metrics: None })?;
        producer.init_transactions(ANSWERED_WITHIN)?;
        let newest = newest(&self.config)?;
        Ok(Open { producer, newest })
    }
}

impl Open {
    fn write(&self, topic: &str, number: i64, records: &[NewRecord]) -> Result<(), KafkaError> {
        self.producer.begin_transaction()?;
        let number = number.to_string();
        for record in records {
            let own = record.headers.iter().map(|(key, value)| (key.as_str(), &value[..]));
            let all = own.chain([(PUBLICATION, number.as_bytes())]);
            let headers = all.fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let record =
                BaseRecord::to(topic).key(&record.key[..]).payload(&record.payload[..]).headers(headers);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        // What is not committed is aborted by the brokers when the next one begins.
        self.producer.commit_transaction(ANSWERED_WITHIN)
    }
}

/// The highest number among the newest committed records of all partitions.
fn newest(config: &Config) -> Result<Option<i64>, KafkaError> {
    let lookup = Lookup::new(config, Context { role: "publisher", metrics: None })?;
    let offsets = lookup.offsets(ANSWERED_WITHIN).map_err(|error| {
        tracing::info!(%error, topic = config.topic, "the topic of dead letters cannot be looked at");
        KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable)
    })?;
    let mut client = config.consumer("none");
    client.set("enable.partition.eof", "true");
    let reader: BaseConsumer<Context> =
        BaseConsumer::from_config_and_context(&client, Context { role: "publisher", metrics: None })?;
    let mut newest = None;
    for of in offsets {
        let mut look_back = LOOK_BACK;
        loop {
            let from = (of.end - look_back).max(of.log_start);
            let found = newest_after(&reader, &config.topic, of.partition, from)?;
            if found.is_some() || from <= of.log_start {
                newest = newest.max(found);
                break;
            }
            look_back *= 10;
        }
    }
    Ok(newest)
}

/// The number of the last committed record from an offset on.
fn newest_after(
    reader: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
    from: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(from))?;
    reader.assign(&place)?;
    let deadline = Instant::now() + ANSWERED_WITHIN;
    let mut newest = None;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(record)) => newest = newest.max(number_of(&record)),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(newest),
            Some(Err(error)) => return Err(error),
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

fn number_of(record: &impl Message) -> Option<i64> {
    let headers = record.headers()?;
    let value = headers.iter().find(|header| header.key == PUBLICATION)?.value?;
    std::str::from_utf8(value).ok()?.parse().ok()
}
