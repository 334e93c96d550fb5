//! Trimming: whole batches go, readers begin at what is left, the file does not grow for ever.

use crate::support::*;
use topic::embedded::{Topic, TrimError};

async fn reads_from_ten(topic: &Topic) {
    let mut reader = reader_from(topic, 2).await;
    let batch = batch(&mut *reader).await;
    assert_eq!((batch.partition, batch.log_start, batch.records[0].offset), (1, 10, 10));
}

#[tokio::test]
async fn whole_batches_below_the_offset_go() {
    let place = Place::new();
    let topic = place.open();
    let key = key_of(1);
    for _ in 0..4 {
        append(&*topic.writer(), numbered(&key, 5)).await;
    }
    assert_eq!(within(topic.trim(1, 4)).await, Ok(0), "the first batch ends at 5");
    assert_eq!(within(topic.trim(1, 5)).await, Ok(5));
    assert_eq!(within(topic.trim(1, 13)).await, Ok(10));
    assert_eq!(within(topic.trim(1, 3)).await, Ok(10), "never back");
    let offsets = topic.viewer().offsets().await.unwrap();
    assert_eq!((offsets[1].log_start, offsets[1].end), (10, 20));
    assert_eq!((offsets[0].log_start, offsets[0].end), (0, 0));
    reads_from_ten(&topic).await;
    within(topic.close()).await;

    let topic = place.open();
    reads_from_ten(&topic).await;
    assert_eq!(within(topic.trim(1, i64::MAX)).await, Ok(20), "all of it");
    within(topic.close()).await;
    let topic = place.open();
    let offsets = topic.viewer().offsets().await.unwrap();
    assert_eq!((offsets[1].log_start, offsets[1].end), (20, 20), "offsets are never used again");
    append(&*topic.writer(), numbered(&key, 1)).await;
    let mut reader = reader_from(&topic, 0).await;
    assert_eq!(batch(&mut *reader).await.records[0].offset, 20);
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_an_error() {
    let place = Place::new();
    let topic = place.open();
    for partition in [-1, 6] {
        assert!(matches!(within(topic.trim(partition, 1)).await, Err(TrimError(_))));
    }
    append(&*topic.writer(), numbered("org-1", 1)).await;
}

#[tokio::test]
async fn a_reader_that_was_overtaken_hears_where_the_log_starts_now() {
    let place = Place::new();
    let topic = place.open();
    append_large(&topic, [2], 5000).await;
    within(topic.close()).await;
    let topic = place.open();
    let mut reader = reader_from(&topic, 0).await;
    let first = batch(&mut *reader).await;
    assert_eq!((first.log_start, first.records[0].offset), (0, 0));
    let log_start = within(topic.trim(2, 4000)).await.unwrap();
    assert!(log_start > 3000, "{log_start}");
    let mut expected = first.records.last().unwrap().offset + 1;
    while expected < 5000 {
        let batch = batch(&mut *reader).await;
        let from = batch.records[0].offset;
        assert!(from == expected || from == batch.log_start, "{from} after {expected} is neither");
        expected = batch.records.last().unwrap().offset + 1;
    }
}

#[tokio::test]
async fn a_reader_whose_partition_was_emptied_hears_it_although_nothing_follows() {
    let place = Place::new();
    let topic = place.open();
    append(&*topic.writer(), numbered(&key_of(2), 5)).await;
    assert_eq!(within(topic.trim(2, i64::MAX)).await, Ok(5));
    let mut reader = reader_from(&topic, 0).await;
    let told = batch(&mut *reader).await;
    assert_eq!((told.partition, told.log_start, told.records.len()), (2, 5, 0));
    append(&*topic.writer(), numbered(&key_of(2), 1)).await;
    assert_eq!(offsets(&batch(&mut *reader).await.records), [5]);
}

#[tokio::test]
async fn the_space_of_what_was_trimmed_is_used_again() {
    let place = Place::new();
    let topic = place.open();
    let mut sizes = Vec::new();
    for round in 1..=6 {
        append_large(&topic, 0..6, 1000).await;
        for partition in 0..6 {
            assert_eq!(within(topic.trim(partition, i64::MAX)).await, Ok(round * 1000));
        }
        sizes.push(std::fs::metadata(place.path()).unwrap().len());
    }
    within(topic.close()).await;
    let closed = std::fs::metadata(place.path()).unwrap().len();
    assert!(closed < 16_000_000, "36 MB were appended, 6 MB at a time: {sizes:?}, then {closed}");
}
