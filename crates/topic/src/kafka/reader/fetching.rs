//! The partitions of a consumer: where they are fetched from, and what was fetched.

use super::desk::{Desk, Due};
use super::drain::drain;
use super::member::{self, Member};
use rdkafka::Offset;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOUGHT_WITHIN: Duration = Duration::from_secs(1);
const SEEK_AGAIN: Duration = Duration::from_millis(5);
/// A partition that cannot be moved for so long is assigned anew.
const STUCK: Duration = Duration::from_secs(2);

pub(super) struct Fetching {
    topic: String,
    consumer: Arc<BaseConsumer<Member>>,
    desk: Arc<Desk>,
    /// A queue of each partition that librdkafka has been assigned.
    queues: BTreeMap<i32, PartitionQueue<Member>>,
    /// Partitions that could not be moved yet, and since when.
    stuck: BTreeMap<i32, Instant>,
}

impl Fetching {
    pub(super) fn new(topic: String, consumer: Arc<BaseConsumer<Member>>, desk: Arc<Desk>) -> Fetching {
        Fetching { topic, consumer, desk, queues: BTreeMap::new(), stuck: BTreeMap::new() }
    }

    pub(super) fn partitions(&self) -> Vec<i32> {
        self.queues.keys().copied().collect()
    }

    /// How long nothing may be done at most.
    pub(super) fn patience(&self) -> Duration {
        if self.stuck.is_empty() { Duration::MAX } else { SEEK_AGAIN }
    }

    /// Nothing of the partition is collected any more.
    pub(super) fn forget(&mut self, partition: i32) {
        self.queues.remove(&partition);
        self.stuck.remove(&partition);
    }

    /// Lets go of all queues; the client cannot be closed before.
    pub(super) fn end(&mut self) {
        self.queues.clear();
    }

    /// A record came past the queue of its partition, fetched before there was one: reads it again, in order.
    pub(super) fn catch_stray(&mut self, partition: i32) {
        if self.queues.contains_key(&partition) {
            tracing::debug!(partition, "records came past the queue");
            self.split_queue(partition);
            self.desk.start_again(partition, false);
        }
    }

    /// Assigns partitions at rest: paused, and at an offset that needs no question. librdkafka would ask where a logical
    /// one is, and ask again when it was moved meanwhile, and then move back.
    pub(super) fn take_on(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.split_queue(*partition);
        }
        let anywhere = || partitions.iter().map(|partition| (*partition, Offset::Offset(0)));
        if let Err(error) = self.consumer.pause(&member::list(&self.topic, anywhere())) {
            tracing::warn!(%error, "partitions could not be paused");
        }
        self.assign(anywhere());
    }

    /// Records of the partition go to a queue of its own from now on, also when it is assigned later.
    fn split_queue(&mut self, partition: i32) {
        // The old handle would take the callback of the new one with it.
        self.queues.remove(&partition);
        let Some(mut queue) = self.consumer.split_partition_queue(&self.topic, partition) else {
            tracing::error!(partition, "there is no queue for the partition");
            return;
        };
        let desk = self.desk.clone();
        queue.set_nonempty_callback(move || desk.bell.ring());
        self.queues.insert(partition, queue);
    }

    fn assign(&self, partitions: impl IntoIterator<Item = (i32, Offset)>) {
        let list = member::list(&self.topic, partitions);
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(%error, "partitions could not be taken");
        }
    }

    pub(super) fn unassign(&self, partitions: impl IntoIterator<Item = (i32, Offset)>) {
        let list = member::list(&self.topic, partitions);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions could not be given back");
        }
    }

    /// Begins partitions where the reader said: by a seek, or by assigning anew when librdkafka has stopped to fetch.
    pub(super) fn begin_starts(&mut self, now: Instant) {
        let (stopped, running): (Vec<Due>, Vec<Due>) =
            self.desk.take_starts().into_iter().partition(|due| due.stopped);
        if !stopped.is_empty() {
            self.assign_anew(&stopped);
        }
        if !running.is_empty() {
            self.seek(&running, now);
        }
    }

    fn assign_anew(&mut self, starts: &[Due]) {
        self.unassign(starts.iter().map(position));
        self.assign(starts.iter().map(position));
        self.resume(starts.iter().map(position));
        for due in starts {
            self.stuck.remove(&due.partition);
            self.split_queue(due.partition);
        }
    }

    fn resume(&self, partitions: impl IntoIterator<Item = (i32, Offset)>) {
        if let Err(error) = self.consumer.resume(&member::list(&self.topic, partitions)) {
            tracing::warn!(%error, "partitions could not be resumed");
        }
    }

    /// A partition that was assigned a moment ago is not fetched yet and cannot be moved before it is.
    fn seek(&mut self, starts: &[Due], now: Instant) {
        let list = member::list(&self.topic, starts.iter().map(position));
        let sought = match self.consumer.seek_partitions(list, SOUGHT_WITHIN) {
            Ok(list) => {
                list.elements().iter().filter(|one| one.error().is_ok()).map(|one| one.partition()).collect()
            }
            Err(_) => BTreeSet::<i32>::new(),
        };
        self.resume(starts.iter().filter(|due| sought.contains(&due.partition)).map(position));
        for Due { partition, .. } in starts {
            if sought.contains(partition) {
                self.stuck.remove(partition);
            } else {
                let since = *self.stuck.entry(*partition).or_insert(now);
                self.desk.start_again(*partition, now >= since + STUCK);
            }
        }
    }

    /// Lays what was fetched on the desk; answers what went wrong, and where.
    pub(super) fn collect(&self) -> Vec<(Due, KafkaError)> {
        let mut failed = Vec::new();
        for due in self.desk.wanted() {
            let Some(queue) = self.queues.get(&due.partition) else { continue };
            let (batch, error) = drain(queue, due);
            let next = batch.as_ref().and_then(|batch| batch.records.last()).map(|last| last.offset + 1);
            if let Some(batch) = batch {
                self.desk.offer(due, batch);
            }
            if let Some(error) = error {
                failed.push((Due { next: next.unwrap_or(due.next), ..due }, error));
            }
        }
        failed
    }
}

fn position(due: &Due) -> (i32, Offset) {
    (due.partition, Offset::Offset(due.next))
}
