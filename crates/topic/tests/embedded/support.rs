//! What the tests share: topics in temporary directories, records with numbers, readers with deadlines.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use topic::embedded::{Config, Topic};
use topic::{Assignment, Batch, Event, NewRecord, ReadError, Reader, Record, Writer};

/// A directory that goes away with the test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("topic.db")
    }

    pub(crate) fn open(&self) -> Topic {
        open(&self.path())
    }

    pub(crate) fn open_with(&self, config: Config) -> Topic {
        Topic::open(&self.path(), config).unwrap()
    }
}

pub(crate) fn open(path: &Path) -> Topic {
    Topic::open(path, Config::default()).unwrap()
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
    keys.find(|key| topic::partition_of(key.as_bytes(), 6) == partition).unwrap()
}

pub(crate) async fn append(writer: &dyn Writer, records: Vec<NewRecord>) {
    assert_eq!(within(writer.append(records)).await, []);
}

/// Records of about 1 KiB, enough for several fetches, in each of the partitions.
pub(crate) async fn append_large(topic: &Topic, partitions: impl IntoIterator<Item = i32>, count: usize) {
    let writer = topic.writer();
    for partition in partitions {
        let key = key_of(partition);
        for from in (0..count).step_by(500) {
            let numbers = from..count.min(from + 500);
            append(&*writer, numbers.map(|n| record(&key, format!("{n:01000}"))).collect()).await;
        }
    }
}

pub(crate) async fn next(reader: &mut dyn Reader) -> Result<Event, ReadError> {
    within(reader.next()).await
}

/// The next event, which has to be an assignment.
pub(crate) async fn assigned(reader: &mut dyn Reader) -> Vec<Assignment> {
    match next(reader).await {
        Ok(Event::Assigned(assignments)) => assignments,
        other => panic!("expected an assignment, not {other:?}"),
    }
}

/// The next event, which has to be records.
pub(crate) async fn batch(reader: &mut dyn Reader) -> Batch {
    match next(reader).await {
        Ok(Event::Records(batch)) => batch,
        other => panic!("expected records, not {other:?}"),
    }
}

/// A reader that owns all partitions and was started at `from` in each that has so many records.
pub(crate) async fn reader_from(topic: &Topic, from: i64) -> Box<dyn Reader> {
    let mut reader = topic.viewer().tail();
    for assignment in assigned(&mut *reader).await {
        reader.start(assignment.partition, from.min(assignment.end));
    }
    reader
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

pub(crate) fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect()
}
