//! A paused partition delivers nothing, wherever its records were when the pause began.

use crate::support::*;
use topic::Reader;
use topic::embedded::Topic;

const COUNT: usize = 3000;

/// Reads all that is left of partitions 0 and 1, each from its next offset. No other may come.
async fn read_rest(reader: &mut dyn Reader, next: &mut [i64; 2], only: &[i32]) {
    let end = i64::try_from(COUNT).unwrap();
    while only.iter().any(|partition| next[usize::try_from(*partition).unwrap()] < end) {
        let batch = batch(reader).await;
        assert!(only.contains(&batch.partition), "partition {} is paused", batch.partition);
        let next = &mut next[usize::try_from(batch.partition).unwrap()];
        for record in batch.records {
            assert_eq!(record.offset, *next);
            *next += 1;
        }
    }
}

/// Pauses after a few batches, when the next one may be on its way.
async fn pause_midway(topic: &Topic, after: usize) {
    let mut reader = reader_from(topic, 0).await;
    let mut next = [0; 2];
    for _ in 0..after {
        let batch = batch(&mut *reader).await;
        next[usize::try_from(batch.partition).unwrap()] = batch.records.last().unwrap().offset + 1;
    }
    reader.pause(1);
    read_rest(&mut *reader, &mut next, &[0]).await;
    reader.resume(1);
    reader.pause(0);
    read_rest(&mut *reader, &mut next, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_the_file_wait_for_the_end_of_the_pause() {
    let place = Place::new();
    let topic = place.open();
    append_large(&topic, [0, 1], COUNT).await;
    within(topic.close()).await;
    let topic = place.open();
    for after in 0..4 {
        pause_midway(&topic, after).await;
    }
}

#[tokio::test]
async fn records_in_memory_wait_for_the_end_of_the_pause() {
    let place = Place::new();
    let topic = place.open();
    append_large(&topic, [0, 1], COUNT).await;
    for after in 0..4 {
        pause_midway(&topic, after).await;
    }
}

#[tokio::test]
async fn a_pause_holds_for_what_is_appended_later_and_survives_a_start() {
    let place = Place::new();
    let topic = place.open();
    let mut reader = reader_from(&topic, 0).await;
    reader.pause(1);
    append(&*topic.writer(), numbered(&key_of(1), 5)).await;
    reader.start(1, 2);
    append(&*topic.writer(), numbered(&key_of(0), 5)).await;
    assert_eq!(read(&mut *reader, 5).await.into_keys().collect::<Vec<_>>(), [0]);
    reader.resume(1);
    assert_eq!(offsets(&batch(&mut *reader).await.records), [2, 3, 4]);
}
