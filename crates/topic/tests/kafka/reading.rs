//! Where a partition begins, what a pause holds back, and what comes after.

use crate::support::*;
use topic::{Event, Truncation};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_before_the_start_and_then_what_was_asked_for() {
    let place = Place::new("start").await;
    append_everywhere(&*place.writer(), 10).await;
    let mut reader = place.topic.subscribe(&place.config.topic);
    let assignments = assigned_all(&mut *reader).await;
    assert!(assignments.iter().all(|assignment| (assignment.log_start, assignment.end) == (0, 10)));
    silent(&mut *reader).await;
    reader.start(4, 7);
    let read = read(&mut *reader, 3).await;
    assert_eq!(read.keys().collect::<Vec<_>>(), [&4]);
    assert_eq!(offsets(&read[&4]), [7, 8, 9]);
    assert_eq!(payloads(&read[&4]), ["7", "8", "9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_can_be_moved() {
    let place = Place::new("move").await;
    append_everywhere(&*place.writer(), 100).await;
    let mut reader = place.reader_from(90).await;
    read(&mut *reader, 60).await;
    for from in [0, 50, 98] {
        reader.start(2, from);
        let moved = read(&mut *reader, usize::try_from(100 - from).unwrap()).await;
        assert_eq!(offsets(&moved[&2])[0], from);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_corrected_at_once_delivers_only_the_second() {
    let place = Place::new("corrected").await;
    append_everywhere(&*place.writer(), 50).await;
    let mut reader = place.reader_from(50).await;
    for _ in 0..10 {
        reader.start(1, 0);
        reader.start(1, 49);
        let moved = read(&mut *reader, 1).await;
        assert_eq!(offsets(&moved[&1]), [49]);
    }
    silent(&mut *reader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_partition_is_silent_and_goes_on_without_loss() {
    let place = Place::new("pause").await;
    let writer = place.writer();
    // Several batches of each partition, so that some are at hand when the pause begins.
    for _ in 0..3 {
        append_everywhere(&*writer, 4_000).await;
    }
    let mut reader = place.reader_from(0).await;
    let first = batch(&mut *reader).await;
    reader.pause(first.partition);
    let mut others = 0;
    while others < 5 * 12_000 {
        let batch = batch(&mut *reader).await;
        assert_ne!(batch.partition, first.partition, "it is paused");
        others += batch.records.len();
    }
    silent(&mut *reader).await;
    reader.resume(first.partition);
    let rest = read(&mut *reader, 12_000 - first.records.len()).await;
    let rest = offsets(&rest[&first.partition]);
    assert_eq!(rest[0], first.records.last().unwrap().offset + 1);
    append(&*writer, numbered(&key_of(first.partition), 1)).await;
    assert_eq!(read(&mut *reader, 1).await[&first.partition][0].offset, 12_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_before_the_start_holds() {
    let place = Place::new("paused-start").await;
    append_everywhere(&*place.writer(), 5).await;
    let mut reader = place.topic.viewer().tail();
    assigned_all(&mut *reader).await;
    reader.pause(3);
    reader.start(3, 0);
    silent(&mut *reader).await;
    reader.resume(3);
    assert_eq!(offsets(&read(&mut *reader, 5).await[&3]), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_beyond_the_end_is_told_and_never_moved() {
    let place = Place::new("beyond").await;
    let writer = place.writer();
    append_everywhere(&*writer, 5).await;
    let mut reader = place.topic.viewer().tail();
    assigned_all(&mut *reader).await;
    reader.start(1, 9);
    let told = Truncation { partition: 1, offset: 9, log_start: 0, end: 5 };
    assert!(matches!(next(&mut *reader).await, Ok(Event::Truncated(truncation)) if truncation == told));
    // The others go on, and it stays where it is although the offset is there now.
    append_everywhere(&*writer, 5).await;
    reader.start(2, 8);
    assert_eq!(offsets(&read(&mut *reader, 2).await[&2]), [8, 9]);
    silent(&mut *reader).await;
    reader.start(1, 4);
    assert_eq!(offsets(&read(&mut *reader, 6).await[&1])[0], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_next_loses_nothing() {
    let place = Place::new("drop").await;
    append_everywhere(&*place.writer(), 3_000).await;
    let mut reader = place.reader_from(0).await;
    let mut seen = vec![0; PARTITIONS.unsigned_abs() as usize];
    while seen.iter().sum::<i64>() < 18_000 {
        let event = tokio::select! {
            biased;
            event = reader.next() => event,
            () = tokio::task::yield_now() => continue,
        };
        let Ok(Event::Records(batch)) = event else { panic!("expected records, not {event:?}") };
        for record in batch.records {
            let next = &mut seen[usize::try_from(batch.partition).unwrap()];
            assert_eq!(record.offset, *next);
            *next += 1;
        }
    }
}
