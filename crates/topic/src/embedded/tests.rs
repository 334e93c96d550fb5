//! Outages of the disk and of the writer thread, made where only this module reaches.

use super::database::Database;
use super::{Config, Topic};
use crate::{AppendError, Event, Failure, NewRecord, Writer};
use bytes::Bytes;
use std::sync::mpsc;
use std::time::Duration;

const SECONDS: Duration = Duration::from_secs(60);

fn record(bytes: usize) -> NewRecord {
    NewRecord { key: Bytes::from("org-1"), payload: Bytes::from(vec![7; bytes]), headers: Vec::new() }
}

fn open(dir: &tempfile::TempDir, config: Config) -> Topic {
    Topic::open(&dir.path().join("topic.db"), config).unwrap()
}

/// Runs on the writer thread; returns when it has.
async fn on_database(topic: &Topic, run: impl FnOnce(&mut Database) + Send + 'static) {
    let (done, waiting) = tokio::sync::oneshot::channel();
    let chore = move |database: &mut Database| {
        run(database);
        done.send(()).unwrap();
    };
    topic.queue.push_chore(Box::new(chore)).unwrap();
    tokio::time::timeout(SECONDS, waiting).await.unwrap().unwrap();
}

/// Stops the writer thread until the sender is dropped.
async fn stall(topic: &Topic) -> mpsc::Sender<()> {
    let (go_on, stalled) = mpsc::channel::<()>();
    let (begun, waiting) = tokio::sync::oneshot::channel();
    let chore = move |_: &mut Database| {
        begun.send(()).unwrap();
        stalled.recv().unwrap_err();
    };
    topic.queue.push_chore(Box::new(chore)).unwrap();
    tokio::time::timeout(SECONDS, waiting).await.unwrap().unwrap();
    go_on
}

async fn count(topic: &Topic) -> i64 {
    topic.viewer().offsets().await.unwrap().iter().map(|offsets| offsets.end).sum()
}

#[tokio::test]
async fn a_full_disk_refuses_the_group_and_writing_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let topic = open(&dir, Config::default());
    let writer = topic.writer();
    assert_eq!(writer.append(vec![record(1000); 10]).await, []);
    on_database(&topic, |database| database.limit_pages(1)).await;
    for _ in 0..2 {
        let failures = writer.append(vec![record(100_000); 5]).await;
        let error = AppendError::Unavailable("database or disk is full".into());
        assert_eq!(failures, (0..5).map(|index| Failure { index, error: error.clone() }).collect::<Vec<_>>());
        assert_eq!(writer.ready().await, Err(error));
    }
    assert_eq!(count(&topic).await, 10, "nothing of it is there");
    on_database(&topic, |database| database.limit_pages(u32::MAX)).await;
    assert_eq!(writer.ready().await, Ok(()), "found out without a record");
    assert_eq!(writer.append(vec![record(100_000); 5]).await, []);
    topic.close().await;

    let topic = open(&dir, Config::default());
    let mut tail = topic.viewer().tail();
    let mut sizes = Vec::new();
    while sizes.len() < 15 {
        match tokio::time::timeout(SECONDS, tail.next()).await.unwrap().unwrap() {
            Event::Assigned(all) => all.iter().for_each(|assignment| tail.start(assignment.partition, 0)),
            Event::Records(batch) => sizes.extend(batch.records.iter().map(|record| record.payload.len())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sizes, [[1000; 10].as_slice(), [100_000; 5].as_slice()].concat());
}

/// Polls an append once, which queues it or answers at once.
async fn offer<F: Future<Output = Vec<Failure>> + Unpin>(append: &mut F) -> Option<Vec<Failure>> {
    tokio::select! { biased; failures = append => Some(failures), () = std::future::ready(()) => None }
}

async fn full_queue(config: Config, records: Vec<NewRecord>) {
    let dir = tempfile::tempdir().unwrap();
    let topic = open(&dir, config);
    let writer: std::sync::Arc<dyn Writer> = topic.writer();
    let go_on = stall(&topic).await;
    let mut first = writer.append(records.clone());
    assert_eq!(offer(&mut first).await, None, "accepted, though larger than the queue: nothing else waits");
    let failures = offer(&mut writer.append(records.clone())).await.expect("an answer at once");
    assert_eq!(failures.len(), records.len());
    for failure in &failures {
        let AppendError::QueueFull { retry_after } = failure.error else { panic!("{failure:?}") };
        assert!((Duration::from_millis(50)..=Duration::from_secs(5)).contains(&retry_after));
    }
    assert!(matches!(writer.ready().await, Err(AppendError::QueueFull { .. })));
    drop(go_on);
    assert_eq!(tokio::time::timeout(SECONDS, first).await.unwrap(), []);
    assert_eq!(writer.append(records.clone()).await, [], "there is room again");
    assert_eq!(usize::try_from(count(&topic).await).unwrap(), 2 * records.len());
}

#[tokio::test]
async fn a_queue_with_too_many_bytes_is_full() {
    full_queue(Config { queue_bytes: 5_000, ..Config::default() }, vec![record(6_000)]).await;
}

#[tokio::test]
async fn a_queue_with_too_many_records_is_full() {
    full_queue(Config { queue_records: 10, ..Config::default() }, vec![record(1); 11]).await;
}

#[tokio::test]
async fn an_append_nobody_waits_for_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let topic = open(&dir, Config::default());
    let writer = topic.writer();
    let go_on = stall(&topic).await;
    assert_eq!(offer(&mut writer.append(vec![record(1)])).await, None);
    drop(go_on);
    assert_eq!(writer.append(vec![record(1)]).await, []);
    assert_eq!(count(&topic).await, 2);
}

#[tokio::test]
async fn a_writer_thread_that_panics_answers_those_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let topic = open(&dir, Config::default());
    let writer = topic.writer();
    let go_on = stall(&topic).await;
    let mut waiting = writer.append(vec![record(1)]);
    topic.queue.push_chore(Box::new(|_| panic!("as the test wants"))).unwrap();
    assert_eq!(offer(&mut waiting).await, None);
    drop(go_on);
    let failures = tokio::time::timeout(SECONDS, waiting).await.unwrap();
    assert!(matches!(failures[0].error, AppendError::Unavailable(_)), "{failures:?}");
    assert!(topic.trim(0, 0).await.is_err());
    assert!(writer.ready().await.is_err());
    topic.close().await;
}
