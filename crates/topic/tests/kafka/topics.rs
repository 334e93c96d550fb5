//! A topic deleted and made anew under the same name is another one.

use crate::support::*;
use std::time::{Duration, Instant};
use topic::{Event, Reader, TopicId};

/// Goes on until the reader has all partitions of another topic; errors in between tell that there is none.
async fn follow(reader: &mut dyn Reader, old: TopicId) -> TopicId {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut revoked, mut assigned) = (Vec::new(), Vec::new());
    while assigned.len() < PARTITIONS.unsigned_abs() as usize {
        assert!(Instant::now() < deadline, "revoked {revoked:?}, assigned {assigned:?}");
        match next(reader).await {
            Ok(Event::Revoked(revocation)) => revoked.extend(revocation.partitions.clone()),
            Ok(Event::Assigned(assignments)) => {
                // The old topic may come back for a moment while its deletion spreads.
                assigned.extend(assignments.into_iter().filter(|assignment| assignment.topic != old));
            }
            Ok(event @ (Event::Records(_) | Event::Truncated(_))) => panic!("of the old topic: {event:?}"),
            Err(_) => {}
        }
    }
    revoked.sort_unstable();
    revoked.dedup();
    assert_eq!(revoked, (0..PARTITIONS).collect::<Vec<_>>(), "all partitions of the old topic were revoked");
    for assignment in &assigned {
        assert_eq!(assignment.log_start, 0);
        reader.start(assignment.partition, 0);
    }
    topic_of(&assigned)
}

async fn remade(test: &str, subscribe: impl FnOnce(&Place) -> Box<dyn Reader>) {
    let place = Place::new(test).await;
    let writer = place.writer();
    append_everywhere(&*writer, 20).await;
    within(writer.ready()).await.unwrap();
    let mut reader = subscribe(&place);
    let assignments = assigned_all(&mut *reader).await;
    for assignment in &assignments {
        reader.start(assignment.partition, 0);
    }
    read(&mut *reader, 120).await;
    place.delete_topic().await;
    make(&place.config, &[]).await;
    let old = topic_of(&assignments);
    let new = follow(&mut *reader, old).await;
    assert_ne!(new, old);
    append_through_the_change(&*writer).await;
    let read = read(&mut *reader, 6).await;
    assert_eq!(read.len(), 6);
    assert!(read.values().all(|records| records[0].offset == 0));
}

/// One record in each partition; the writer may need a moment to find the new topic.
async fn append_through_the_change(writer: &dyn topic::Writer) {
    for partition in 0..PARTITIONS {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let failures = within(writer.append(numbered(&key_of(partition), 1))).await
            && !failures.is_empty()
        {
            assert!(Instant::now() < deadline, "{failures:?}");
            within(writer.ready()).await.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_follows_a_topic_made_anew() {
    remade("remade-member", |place| place.topic.subscribe(&place.config.topic)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_follows_a_topic_made_anew() {
    remade("remade-tail", |place| place.topic.viewer().tail()).await;
}
