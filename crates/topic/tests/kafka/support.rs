//! What the tests share: a topic of its own for each, records with numbers, readers with deadlines.

use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;
use topic::kafka::{Config, Metrics, Topic, TopicSpec, ensure_topic};
use topic::{Assignment, Batch, Event, NewRecord, ReadError, Reader, Record, TopicId, Writer};

pub(crate) const PARTITIONS: i32 = 6;

pub(crate) fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: eval \"$(hack/kafka.sh up)\""))
}

/// A topic of the test's own.
pub(crate) struct Place {
    pub(crate) config: Config,
    pub(crate) topic: Topic,
}

impl Place {
    pub(crate) async fn new(test: &str) -> Place {
        Place::with(test, |_| ()).await
    }

    pub(crate) async fn with(test: &str, change: impl FnOnce(&mut Config)) -> Place {
        let mut config = config(test);
        change(&mut config);
        make(&config, &[]).await;
        Place { topic: Topic::new(config.clone(), Metrics::default()).unwrap(), config }
    }

    pub(crate) fn writer(&self) -> std::sync::Arc<dyn Writer> {
        self.topic.writer().unwrap()
    }

    /// A reader of all partitions that was started at `from` in each.
    pub(crate) async fn reader_from(&self, from: i64) -> Box<dyn Reader> {
        let mut reader = self.topic.viewer().tail();
        for assignment in assigned_all(&mut *reader).await {
            reader.start(assignment.partition, from);
        }
        reader
    }

    pub(crate) async fn delete_records(&self, partition: i32, below: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.config.topic, partition, Offset::Offset(below)).unwrap();
        within(admin().delete_records(&list, &options())).await.unwrap();
    }

    pub(crate) async fn delete_topic(&self) {
        let deleted = within(admin().delete_topics(&[&self.config.topic], &options())).await.unwrap();
        assert_eq!(deleted, [Ok(self.config.topic.clone())]);
    }
}

pub(crate) fn config(test: &str) -> Config {
    Config::new(env("LOGPIPELINE_TEST_KAFKA"), format!("{test}-{}", uuid::Uuid::now_v7().simple()))
}

pub(crate) async fn make(config: &Config, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = TopicSpec { partitions: PARTITIONS, replication: 1, settings };
    within(ensure_topic(config, &spec)).await.unwrap();
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", env("LOGPIPELINE_TEST_KAFKA")).create().unwrap()
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}

/// The value of a future that must not hang.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("an answer within 60 s")
}

pub(crate) fn record(key: &str, payload: impl Into<Bytes>) -> NewRecord {
    NewRecord { key: Bytes::from(key.to_owned()), payload: payload.into(), headers: Vec::new() }
}

/// Records `0..count` of a key, each with its number as payload.
pub(crate) fn numbered(key: &str, count: usize) -> Vec<NewRecord> {
    (0..count).map(|number| record(key, number.to_string())).collect()
}

/// A key of each partition of a topic with six.
pub(crate) fn key_of(partition: i32) -> String {
    let mut keys = (0..).map(|n| format!("org-{n}"));
    keys.find(|key| topic::partition_of(key.as_bytes(), PARTITIONS.unsigned_abs()) == partition).unwrap()
}

pub(crate) async fn append(writer: &dyn Writer, records: Vec<NewRecord>) {
    assert_eq!(within(writer.append(records)).await, []);
}

/// As many numbered records in each of the partitions.
pub(crate) async fn append_everywhere(writer: &dyn Writer, count: usize) {
    for partition in 0..PARTITIONS {
        append(writer, numbered(&key_of(partition), count)).await;
    }
}

pub(crate) async fn next(reader: &mut dyn Reader) -> Result<Event, ReadError> {
    within(reader.next()).await
}

/// The next event, which has to be an assignment. That the topic cannot be read for a moment, as while a partition gets
/// its leader, is no event.
pub(crate) async fn assigned(reader: &mut dyn Reader) -> Vec<Assignment> {
    let assigned = async {
        loop {
            match reader.next().await {
                Ok(Event::Assigned(assignments)) => return assignments,
                Ok(other) => panic!("expected an assignment, not {other:?}"),
                Err(error) => println!("read again: {error}"),
            }
        }
    };
    within(assigned).await
}

/// Assignments until they are all partitions, by number.
pub(crate) async fn assigned_all(reader: &mut dyn Reader) -> Vec<Assignment> {
    let mut all = Vec::new();
    while all.len() < PARTITIONS.unsigned_abs() as usize {
        all.extend(assigned(reader).await);
    }
    all.sort_by_key(|assignment| assignment.partition);
    all
}

/// The next event, which has to be records.
pub(crate) async fn batch(reader: &mut dyn Reader) -> Batch {
    match next(reader).await {
        Ok(Event::Records(batch)) => batch,
        other => panic!("expected records, not {other:?}"),
    }
}

/// Reads `count` records; those of a partition have to follow each other without a gap.
pub(crate) async fn read(reader: &mut dyn Reader, count: usize) -> BTreeMap<i32, Vec<Record>> {
    let mut read: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    while read.values().map(Vec::len).sum::<usize>() < count {
        let batch = batch(reader).await;
        assert!(!batch.records.is_empty());
        let records = read.entry(batch.partition).or_default();
        for record in batch.records {
            if let Some(before) = records.last() {
                assert_eq!(record.offset, before.offset + 1, "partition {}", batch.partition);
            }
            records.push(record);
        }
    }
    assert_eq!(read.values().map(Vec::len).sum::<usize>(), count, "more than was appended");
    read
}

/// Nothing comes while the value of the future is waited for, and for a while after.
pub(crate) async fn silent(reader: &mut dyn Reader) {
    if let Ok(event) = tokio::time::timeout(Duration::from_millis(700), reader.next()).await {
        panic!("nothing was to come, but {event:?} did");
    }
}

pub(crate) fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

pub(crate) fn payloads(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect()
}

/// The topic that all of the assignments are of.
pub(crate) fn topic_of(assignments: &[Assignment]) -> TopicId {
    assert!(assignments.windows(2).all(|two| two[0].topic == two[1].topic), "{assignments:?}");
    assignments[0].topic
}
