//! Records that retention deleted before they were read show as a gap below the log's start.

use crate::support::*;
use topic::Reader;

/// Hears that all before `log_start` is gone, although no record has to follow.
async fn emptied(reader: &mut dyn Reader, partition: i32, log_start: i64) {
    let batch = batch(reader).await;
    assert_eq!((batch.partition, batch.log_start, batch.records.len()), (partition, log_start, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_below_the_log_begins_at_its_start() {
    let place = Place::new("below").await;
    append_everywhere(&*place.writer(), 10).await;
    place.delete_records(3, 6).await;
    let mut reader = place.topic.viewer().tail();
    let assignments = assigned_all(&mut *reader).await;
    assert_eq!((assignments[3].log_start, assignments[3].end), (6, 10));
    reader.start(3, 2);
    emptied(&mut *reader, 3, 6).await;
    let batch = batch(&mut *reader).await;
    assert_eq!((batch.partition, batch.log_start), (3, 6));
    assert_eq!(offsets(&batch.records), [6, 7, 8, 9]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_that_overtakes_a_reader_shows() {
    let place = Place::new("overtaken").await;
    let writer = place.writer();
    append_everywhere(&*writer, 10).await;
    let mut reader = place.topic.subscribe(&place.config.topic);
    let assignments = assigned_all(&mut *reader).await;
    assert_eq!(assignments[5].log_start, 0);
    place.delete_records(5, 8).await;
    // Announced with the old start of the log, begun below the new one.
    reader.start(5, 4);
    emptied(&mut *reader, 5, 8).await;
    let first = batch(&mut *reader).await;
    assert_eq!((first.partition, first.log_start), (5, 8));
    assert_eq!(offsets(&first.records), [8, 9]);
    append(&*writer, numbered(&key_of(5), 1)).await;
    let second = batch(&mut *reader).await;
    assert_eq!((second.log_start, offsets(&second.records)), (8, vec![10]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_was_emptied_says_so_and_goes_on_with_what_comes() {
    let place = Place::new("emptied").await;
    let writer = place.writer();
    append_everywhere(&*writer, 10).await;
    let mut reader = place.topic.viewer().tail();
    assigned_all(&mut *reader).await;
    place.delete_records(0, 10).await;
    reader.start(0, 3);
    emptied(&mut *reader, 0, 10).await;
    append(&*writer, numbered(&key_of(0), 2)).await;
    let batch = batch(&mut *reader).await;
    assert_eq!((batch.log_start, offsets(&batch.records)[0]), (10, 10));
}
