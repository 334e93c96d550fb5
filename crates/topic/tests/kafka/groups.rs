//! Members of a group: who joins and leaves takes and gives partitions, nobody reads one together, nothing is left out.

use crate::support::*;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use topic::kafka::{Config, GroupProtocol};
use topic::{Event, Reader};

/// Who owns which partition and how far it is stored, as a store would know.
#[derive(Default)]
struct Ledger(Mutex<BTreeMap<i32, Entry>>);

#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    owner: Option<usize>,
    next: i64,
}

impl Ledger {
    fn take(&self, member: usize, partition: i32) -> i64 {
        let mut entries = self.0.lock().unwrap();
        let entry = entries.entry(partition).or_default();
        assert_eq!(entry.owner, None, "partition {partition} came to member {member} before it was let go");
        entry.owner = Some(member);
        entry.next
    }

    fn store(&self, member: usize, partition: i32, offset: i64) {
        let mut entries = self.0.lock().unwrap();
        let entry = entries.get_mut(&partition).unwrap();
        assert_eq!(entry.owner, Some(member), "a record of partition {partition} came to another's member");
        assert_eq!(entry.next, offset, "partition {partition}: a gap, or a record twice");
        entry.next += 1;
    }

    fn let_go(&self, member: usize, partition: i32) {
        let mut entries = self.0.lock().unwrap();
        let entry = entries.get_mut(&partition).unwrap();
        assert_eq!(entry.owner.take(), Some(member));
    }

    fn shares(&self, members: usize) -> Vec<usize> {
        let entries = self.0.lock().unwrap();
        let of = |member| entries.values().filter(|entry| entry.owner == Some(member)).count();
        (0..members).map(of).collect()
    }

    fn stored(&self) -> i64 {
        self.0.lock().unwrap().values().map(|entry| entry.next).sum()
    }
}

/// A member at work until it is told to leave.
struct Working {
    leave: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Working {
    fn join(member: usize, mut reader: Box<dyn Reader>, ledger: &Arc<Ledger>) -> Working {
        let (ledger, leave) = (ledger.clone(), CancellationToken::new());
        let left = leave.clone();
        let task = tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let event = tokio::select! {
                    () = left.cancelled() => break,
                    event = reader.next() => event,
                };
                match event {
                    Ok(event) => work(member, &mut *reader, &ledger, &mut mine, event),
                    Err(error) => panic!("member {member}: {error}"),
                }
            }
            for partition in mine {
                ledger.let_go(member, partition);
            }
            // Leaves the group, which may take a moment.
            tokio::task::spawn_blocking(move || drop(reader)).await.unwrap();
        });
        Working { leave, task }
    }

    async fn leave(self) {
        self.leave.cancel();
        within(self.task).await.unwrap();
    }
}

fn work(member: usize, reader: &mut dyn Reader, ledger: &Ledger, mine: &mut Vec<i32>, event: Event) {
    match event {
        Event::Assigned(assignments) => {
            for assignment in assignments {
                mine.push(assignment.partition);
                reader.start(assignment.partition, ledger.take(member, assignment.partition));
            }
        }
        Event::Records(batch) => {
            for record in &batch.records {
                ledger.store(member, batch.partition, record.offset);
            }
            reader.commit(batch.partition, batch.records.last().unwrap().offset + 1);
        }
        Event::Revoked(revocation) => {
            for partition in &revocation.partitions {
                ledger.let_go(member, *partition);
                mine.retain(|own| own != partition);
            }
        }
        Event::Truncated(truncation) => panic!("{truncation:?}"),
    }
}

/// Waits for a condition; a member that panicked shows by its absence from what is waited for.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} within 60 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn consumer_protocol(config: &mut Config) {
    config.reader.group_protocol = GroupProtocol::Consumer;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_and_every_record_is_read_once_classic() {
    members_come_and_go("members-classic", |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_and_every_record_is_read_once_consumer() {
    members_come_and_go("members-consumer", consumer_protocol).await;
}

async fn members_come_and_go(test: &str, change: impl FnOnce(&mut Config)) {
    let place = Place::with(test, change).await;
    let (ledger, writer) = (Arc::new(Ledger::default()), place.writer());
    let stop = CancellationToken::new();
    let appending = {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut appended = 0;
            while !stop.is_cancelled() {
                for partition in 0..PARTITIONS {
                    append(&*writer, numbered(&key_of(partition), 50)).await;
                    appended += 50;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            appended
        })
    };
    let join = |member| Working::join(member, place.topic.subscribe(&place.config.topic), &ledger);
    let (first, second) = (join(0), join(1));
    until("two members share", || ledger.shares(3) == [3, 3, 0]).await;
    let third = join(2);
    until("the third has its share", || ledger.shares(3) == [2, 2, 2]).await;
    first.leave().await;
    until("two are left", || ledger.shares(3) == [0, 3, 3]).await;
    second.leave().await;
    until("one is left", || ledger.shares(3) == [0, 0, 6]).await;
    stop.cancel();
    let appended = within(appending).await.unwrap();
    until("every record was read", || ledger.stored() == appended).await;
    third.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_owner_waits_until_the_revocation_is_dropped() {
    let place = Place::new("waits").await;
    append_everywhere(&*place.writer(), 10).await;
    let mut first = place.topic.subscribe(&place.config.topic);
    for assignment in assigned_all(&mut *first).await {
        first.start(assignment.partition, 0);
    }
    read(&mut *first, 60).await;
    let mut second = place.topic.subscribe(&place.config.topic);
    let Ok(Event::Revoked(revocation)) = next(&mut *first).await else { panic!("expected a revocation") };
    assert_eq!(revocation.partitions.len(), 3);
    silent(&mut *second).await;
    // Nothing of what was revoked comes to the first any more, whatever is appended.
    append_everywhere(&*place.writer(), 1).await;
    let mut leaving = revocation.partitions.clone();
    leaving.sort_unstable();
    drop(revocation);
    let mut taken = assigned(&mut *second).await;
    taken.sort_by_key(|assignment| assignment.partition);
    assert_eq!(taken.iter().map(|assignment| assignment.partition).collect::<Vec<_>>(), leaving);
    for assignment in &taken {
        second.start(assignment.partition, 10);
    }
    assert_eq!(read(&mut *second, 3).await.keys().copied().collect::<Vec<_>>(), leaving);
    let kept = read(&mut *first, 3).await;
    assert!(kept.keys().all(|partition| !leaving.contains(partition)), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_let_go_holds_the_group_up_for_a_while_only() {
    let place = Place::with("stuck", |config| config.reader.let_go = Duration::from_secs(2)).await;
    let mut first = place.topic.subscribe(&place.config.topic);
    assigned_all(&mut *first).await;
    let mut second = place.topic.subscribe(&place.config.topic);
    let Ok(Event::Revoked(revocation)) = next(&mut *first).await else { panic!("expected a revocation") };
    assert_eq!(assigned(&mut *second).await.len(), 3);
    drop(revocation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_seen_by_tools() {
    let place = Place::new("commit").await;
    append_everywhere(&*place.writer(), 10).await;
    let group = &place.config.topic;
    let mut reader = place.topic.subscribe(group);
    assigned_all(&mut *reader).await;
    reader.commit(2, 7);
    drop(reader);
    let tool: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", env("LOGPIPELINE_TEST_KAFKA"))
        .set("group.id", group)
        .create()
        .unwrap();
    let committed = || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&place.config.topic, 2);
        let list = tool.committed_offsets(list, Duration::from_secs(10)).unwrap();
        list.elements()[0].offset()
    };
    until("the offset is committed", || committed() == Offset::Offset(7)).await;
}
