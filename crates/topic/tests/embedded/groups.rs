//! Groups: partitions are shared, move only when they were let go, and no record is lost or read twice on the way.

use crate::support::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use topic::embedded::Topic;
use topic::{Event, Reader, Revocation};

fn partitions(assignments: &[topic::Assignment]) -> Vec<i32> {
    assignments.iter().map(|assignment| assignment.partition).collect()
}

async fn revoked(reader: &mut dyn Reader) -> Revocation {
    match next(reader).await {
        Ok(Event::Revoked(revocation)) => revocation,
        other => panic!("expected a revocation, not {other:?}"),
    }
}

/// Whether the reader has nothing to say now.
async fn is_silent(reader: &mut dyn Reader) -> bool {
    tokio::select! { biased; _ = reader.next() => false, () = tokio::task::yield_now() => true }
}

#[tokio::test]
async fn partitions_move_when_they_were_let_go() {
    let place = Place::new();
    let topic = place.open();
    let mut first = topic.subscribe("store");
    assert_eq!(partitions(&assigned(&mut *first).await), [0, 1, 2, 3, 4, 5]);
    let mut other = topic.subscribe("another group");
    assert_eq!(assigned(&mut *other).await.len(), 6);
    (0..6).for_each(|partition| first.start(partition, 0));

    let mut second = topic.subscribe("store");
    let revocation = revoked(&mut *first).await;
    assert_eq!(revocation.partitions, [3, 4, 5]);
    append(&*topic.writer(), numbered(&key_of(4), 1)).await;
    assert!(is_silent(&mut *first).await, "none of their records follows");
    assert!(is_silent(&mut *second).await, "they were not let go yet");
    drop(revocation);
    assert_eq!(partitions(&assigned(&mut *second).await), [3, 4, 5]);
    assert!(is_silent(&mut *second).await, "not started");
    second.start(4, 0);
    assert_eq!(batch(&mut *second).await.partition, 4);

    drop(first);
    assert_eq!(partitions(&assigned(&mut *second).await), [0, 1, 2]);
    assert!(is_silent(&mut *other).await);
}

#[tokio::test]
async fn a_waiting_reader_hears_of_a_join_and_of_a_release() {
    let place = Place::new();
    let topic = place.open();
    let mut first = topic.subscribe("store");
    assigned(&mut *first).await;
    let waiting = tokio::spawn(async move { (revoked(&mut *first).await, first) });
    tokio::task::yield_now().await;
    let mut second = topic.subscribe("store");
    let (revocation, _first) = within(waiting).await.unwrap();
    let waiting = tokio::spawn(async move { assigned(&mut *second).await });
    tokio::task::yield_now().await;
    drop(revocation);
    assert_eq!(within(waiting).await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_was_committed_is_kept_for_the_group() {
    let place = Place::new();
    let topic = place.open();
    let mut reader = topic.subscribe("store");
    reader.commit(2, 10);
    reader.commit(4, 7);
    reader.commit(2, 12);
    reader.commit(77, 1);
    drop(reader);
    assert_eq!(topic.committed("store"), [(2, 12), (4, 7)]);
    assert_eq!(topic.committed("another group"), []);
}

/// Stands for the store: who works on a partition, and how far it is.
#[derive(Default)]
struct Store {
    owners: HashMap<i32, usize>,
    positions: HashMap<i32, i64>,
}

struct Shared {
    store: Mutex<Store>,
    progress: watch::Sender<u64>,
}

/// A consumer that keeps what is revoked for a few more events before it lets go.
struct Consumer {
    id: usize,
    patience: usize,
    reader: Box<dyn Reader>,
    leaving: Vec<(usize, Revocation)>,
    shared: Arc<Shared>,
}

impl Consumer {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let event = tokio::select! {
                event = self.reader.next() => Some(event.unwrap()),
                () = tokio::task::yield_now(), if !self.leaving.is_empty() => None,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match event {
                Some(Event::Assigned(assignments)) => self.assigned(&partitions(&assignments)),
                Some(Event::Records(batch)) => self.stored(&batch),
                Some(Event::Revoked(revocation)) => self.leaving.push((self.patience, revocation)),
                Some(Event::Truncated(truncation)) => panic!("{truncation:?}"),
                None => {}
            }
            self.let_go();
        }
        let mut store = self.shared.store.lock().unwrap();
        store.owners.retain(|_, owner| *owner != self.id);
        drop(store);
    }

    fn assigned(&mut self, partitions: &[i32]) {
        let mut store = self.shared.store.lock().unwrap();
        for partition in partitions {
            assert_eq!(
                store.owners.insert(*partition, self.id),
                None,
                "partition {partition} has two owners"
            );
            self.reader.start(*partition, store.positions.get(partition).copied().unwrap_or(0));
        }
    }

    fn stored(&self, batch: &topic::Batch) {
        let mut store = self.shared.store.lock().unwrap();
        assert_eq!(store.owners.get(&batch.partition), Some(&self.id), "partition {}", batch.partition);
        let revoked = self.leaving.iter().any(|(_, left)| left.partitions.contains(&batch.partition));
        assert!(!revoked, "records of partition {} after it was revoked", batch.partition);
        let position = store.positions.entry(batch.partition).or_default();
        for record in &batch.records {
            assert_eq!(record.offset, *position, "partition {}", batch.partition);
            *position += 1;
        }
        drop(store);
        self.shared.progress.send_modify(|batches| *batches += 1);
    }

    fn let_go(&mut self) {
        for (patience, _) in &mut self.leaving {
            *patience = patience.saturating_sub(1);
        }
        for (_, left) in self.leaving.extract_if(.., |(patience, _)| *patience == 0) {
            let mut store = self.shared.store.lock().unwrap();
            for partition in &left.partitions {
                assert_eq!(store.owners.remove(partition), Some(self.id));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Join { patience: usize },
    Leave(prop::sample::Index),
    Append { count: usize },
    Breathe,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_usize..20).prop_map(|patience| Step::Join { patience }),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        4 => (1_usize..200).prop_map(|count| Step::Append { count }),
        3 => Just(Step::Breathe),
    ]
}

struct Crowd<'a> {
    topic: &'a Topic,
    shared: Arc<Shared>,
    members: Vec<(watch::Sender<bool>, JoinHandle<()>)>,
    joined: usize,
}

impl Crowd<'_> {
    fn join(&mut self, patience: usize) {
        self.joined += 1;
        let reader = self.topic.subscribe("store");
        let (id, shared) = (self.joined, self.shared.clone());
        let consumer = Consumer { id, patience, reader, leaving: Vec::new(), shared };
        let (stop, stopped) = watch::channel(false);
        self.members.push((stop, tokio::spawn(consumer.run(stopped))));
    }

    async fn leave(&mut self, index: usize) {
        let (stop, member) = self.members.swap_remove(index);
        stop.send(true).ok();
        within(member).await.expect("a consumer without failed assertions");
    }

    /// Waits until the store has all that the topic has; a consumer that failed ends the wait.
    async fn finish(mut self) {
        self.join(0);
        let ends = self.topic.viewer().offsets().await.unwrap();
        let mut progress = self.shared.progress.subscribe();
        let shared = self.shared.clone();
        let stored = move || {
            let store = shared.store.lock().unwrap();
            ends.iter().all(|end| store.positions.get(&end.partition).copied().unwrap_or(0) == end.end)
        };
        let failed = || self.members.iter().any(|(_, member)| member.is_finished());
        while !stored() && !failed() {
            within(progress.changed()).await.unwrap();
        }
        while !self.members.is_empty() {
            self.leave(0).await;
        }
    }
}

async fn rebalance(steps: Vec<Step>) {
    let place = Place::new();
    let topic = place.open();
    let shared = Arc::new(Shared { store: Mutex::default(), progress: watch::Sender::new(0) });
    let mut crowd = Crowd { topic: &topic, shared, members: Vec::new(), joined: 0 };
    for step in steps {
        match step {
            Step::Join { patience } => crowd.join(patience),
            Step::Leave(index) if !crowd.members.is_empty() => {
                crowd.leave(index.index(crowd.members.len())).await;
            }
            Step::Append { count } => {
                let records = (0..count).map(|n| record(&format!("org-{n}"), "x")).collect();
                append(&*topic.writer(), records).await;
            }
            Step::Leave(_) | Step::Breathe => tokio::task::yield_now().await,
        }
    }
    crowd.finish().await;
    within(topic.close()).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn joins_and_leaves_lose_nothing_and_share_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(rebalance(steps));
    }
}
