//! Looking at the topic without taking part.

use crate::support::*;
use rdkafka::admin::NewPartitions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_viewer_knows_both_ends_of_every_partition() {
    let place = Place::new("ends").await;
    for partition in 0..PARTITIONS {
        let count = usize::try_from(partition).unwrap() * 3;
        append(&*place.writer(), numbered(&key_of(partition), count)).await;
    }
    place.delete_records(4, 5).await;
    let offsets = within(place.topic.viewer().offsets()).await.unwrap();
    let ends: Vec<(i32, i64, i64)> =
        offsets.iter().map(|offsets| (offsets.partition, offsets.log_start, offsets.end)).collect();
    assert_eq!(ends, [(0, 0, 0), (1, 0, 3), (2, 0, 6), (3, 0, 9), (4, 5, 12), (5, 0, 15)]);
    assert!(offsets.iter().all(|one| one.topic == offsets[0].topic && !one.topic.0.is_nil()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_is_named() {
    let config = config("nowhere");
    let topic = topic::kafka::Topic::new(config.clone(), topic::kafka::Metrics::default()).unwrap();
    let error = within(topic.viewer().offsets()).await.unwrap_err();
    assert!(error.0.contains(&config.topic), "{error}");
    let error = next(&mut *topic.viewer().tail()).await.unwrap_err();
    assert!(error.0.contains(&config.topic), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_from_the_end_sees_what_comes_from_now_on() {
    let place = Place::new("tail").await;
    let writer = place.writer();
    append_everywhere(&*writer, 3).await;
    let mut tail = place.topic.viewer().tail();
    for assignment in assigned_all(&mut *tail).await {
        tail.start(assignment.partition, assignment.end);
    }
    append_everywhere(&*writer, 2).await;
    for (partition, records) in read(&mut *tail, 12).await {
        assert_eq!(offsets(&records), [3, 4], "partition {partition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_are_assigned() {
    let place = Place::new("grown").await;
    let mut tail = place.topic.viewer().tail();
    let mut member = place.topic.subscribe(&place.config.topic);
    assigned_all(&mut *tail).await;
    assigned_all(&mut *member).await;
    let grown = NewPartitions::new(&place.config.topic, 8);
    within(admin().create_partitions([&grown], &options())).await.unwrap();
    for reader in [&mut tail, &mut member] {
        let mut added: Vec<i32> = Vec::new();
        while added.len() < 2 {
            added.extend(assigned(&mut **reader).await.iter().map(|assignment| assignment.partition));
        }
        added.sort_unstable();
        assert_eq!(added, [6, 7]);
    }
}
