//! Where reading begins, that nothing is lost by giving up, that readers are woken, that partitions take turns.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use topic::{Event, Truncation};

#[tokio::test]
async fn reading_begins_where_it_is_told() {
    let place = Place::new();
    let topic = place.open();
    let key = key_of(3);
    let partition = 3;
    append(&*topic.writer(), numbered(&key, 10)).await;
    within(topic.close()).await;
    let topic = place.open();
    append(&*topic.writer(), numbered(&key, 10)).await;
    // From the file, in the middle of a batch; then from memory.
    for (from, expected) in [(4, 4..20), (10, 10..20), (15, 15..20), (-5, 0..20)] {
        let mut reader = reader_from(&topic, from).await;
        let read = read(&mut *reader, expected.clone().count()).await;
        assert_eq!(offsets(&read[&partition]), expected.collect::<Vec<_>>(), "from {from}");
    }
    let mut reader = reader_from(&topic, 18).await;
    read(&mut *reader, 2).await;
    // Started anew, and nothing twice or from before.
    reader.start(partition, 7);
    let again = batch(&mut *reader).await;
    assert_eq!(again.records[0].offset, 7);
}

#[tokio::test]
async fn nothing_comes_before_start() {
    let place = Place::new();
    let topic = place.open();
    for partition in 0..6 {
        append(&*topic.writer(), numbered(&key_of(partition), 5)).await;
    }
    let mut reader = topic.subscribe("store");
    let assignments = assigned(&mut *reader).await;
    assert_eq!(assignments.len(), 6);
    assert!(assignments.iter().all(|a| (a.topic, a.log_start, a.end) == (topic.id(), 0, 5)));
    reader.start(4, 0);
    assert_eq!(read(&mut *reader, 5).await.into_keys().collect::<Vec<_>>(), [4]);
    reader.start(1, 5);
    append(&*topic.writer(), numbered(&key_of(0), 1)).await;
    append(&*topic.writer(), numbered(&key_of(1), 1)).await;
    let next = batch(&mut *reader).await;
    assert_eq!((next.partition, offsets(&next.records)), (1, vec![5]));
}

#[tokio::test]
async fn giving_up_on_next_loses_nothing() {
    let place = Place::new();
    let topic = place.open();
    append_large(&topic, [0, 3], 3000).await;
    within(topic.close()).await;
    let topic = place.open();
    let mut reader = topic.viewer().tail();
    let mut expected = [0; 6];
    let all = async {
        while expected.iter().sum::<i64>() < 6000 {
            let event = tokio::select! {
                biased;
                event = reader.next() => event.unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            match event {
                Event::Assigned(partitions) => partitions.iter().for_each(|a| reader.start(a.partition, 0)),
                Event::Records(batch) => {
                    let expected = &mut expected[usize::try_from(batch.partition).unwrap()];
                    for record in batch.records {
                        assert_eq!(record.offset, *expected);
                        *expected += 1;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    within(all).await;
}

#[tokio::test]
async fn a_start_beyond_the_end_is_told_and_never_moved() {
    let place = Place::new();
    let topic = place.open();
    append(&*topic.writer(), numbered(&key_of(1), 5)).await;
    let mut reader = topic.viewer().tail();
    assigned(&mut *reader).await;
    reader.start(1, 9);
    let told = Truncation { partition: 1, offset: 9, log_start: 0, end: 5 };
    assert!(matches!(next(&mut *reader).await, Ok(Event::Truncated(truncation)) if truncation == told));
    append(&*topic.writer(), numbered(&key_of(1), 6)).await;
    reader.start(2, 0);
    append(&*topic.writer(), numbered(&key_of(2), 1)).await;
    assert_eq!(batch(&mut *reader).await.partition, 2, "the other one stays where it is");
    reader.start(1, 4);
    assert_eq!(offsets(&read(&mut *reader, 7).await[&1])[0], 4);
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_reader_is_woken_by_the_append_and_not_before() {
    let place = Place::new();
    let topic = place.open();
    let mut reader = reader_from(&topic, 0).await;
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut next = reader.next();
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    append(&*topic.writer(), numbered("org-1", 3)).await;
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "an acknowledged record is there to be read");
    let Poll::Ready(Ok(Event::Records(batch))) = next.as_mut().poll(&mut Context::from_waker(&waker)) else {
        panic!("expected records");
    };
    assert_eq!(batch.records.len(), 3);
}

#[tokio::test]
async fn partitions_take_turns_though_one_is_read_from_the_file() {
    let place = Place::new();
    let topic = place.open();
    append_large(&topic, 0..6, 4000).await;
    within(topic.close()).await;
    let topic = place.open();
    append_large(&topic, [5], 4000).await;
    let mut reader = reader_from(&topic, 0).await;
    reader.start(5, 4000);
    let mut turns = Vec::new();
    for _ in 0..18 {
        turns.push(batch(&mut *reader).await.partition);
    }
    for round in turns.chunks(6) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3, 4, 5], "{turns:?}");
    }
}

#[tokio::test]
async fn a_reader_of_a_closed_topic_gets_an_error_after_the_last_record() {
    let place = Place::new();
    let topic = place.open();
    let mut reader = reader_from(&topic, 0).await;
    append(&*topic.writer(), numbered("org-1", 3)).await;
    within(topic.close()).await;
    read(&mut *reader, 3).await;
    assert_eq!(next(&mut *reader).await.unwrap_err().0, "it is closed");
}
