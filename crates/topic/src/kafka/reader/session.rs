//! The life of one consumer client: it polls, answers the group, and collects records, until the reader is dropped or
//! the topic is made anew, which librdkafka does not follow.

use super::desk::{Desk, Due, Halt};
use super::drain::drain;
use super::leaving::Leaving;
use super::member::{self, Member, Membership, Rebalance};
use super::questions::{Answer, Question, Questions};
use crate::kafka::config::Config;
use crate::kafka::native::{Description, LookupError};
use crate::{Assignment, PartitionOffsets, TopicId};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The thread looks at its duties this often although nobody rang.
const TURN: Duration = Duration::from_millis(100);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const SOUGHT_WITHIN: Duration = Duration::from_secs(1);
const SEEK_AGAIN: Duration = Duration::from_millis(5);
/// A partition that cannot be moved for so long is assigned anew.
const STUCK: Duration = Duration::from_secs(2);
/// Events of the client that one turn handles at most.
const EVENTS_A_TURN: usize = 64;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The reader was dropped.
    Closed,
    /// The client is of no use any more.
    Renew,
}

pub(super) struct Session<'a> {
    config: &'a Config,
    membership: &'a Membership,
    desk: &'a Arc<Desk>,
    questions: &'a mut Questions,
    consumer: Arc<BaseConsumer<Member>>,
    /// A queue of each partition that librdkafka has been assigned.
    queues: BTreeMap<i32, PartitionQueue<Member>>,
    /// Assigned, and not told to the reader before their ends are known.
    unannounced: BTreeSet<i32>,
    /// The topic that the client reads.
    topic: Option<TopicId>,
    leaving: Option<Leaving>,
    renew: bool,
    /// Partitions that could not be moved yet, and since when.
    stuck: BTreeMap<i32, Instant>,
    asked: Option<Question>,
    ask_at: Instant,
    commit_at: Instant,
    turn_at: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        config: &'a Config,
        membership: &'a Membership,
        desk: &'a Arc<Desk>,
        questions: &'a mut Questions,
        consumer: Arc<BaseConsumer<Member>>,
    ) -> Session<'a> {
        let now = Instant::now();
        Session {
            config,
            membership,
            desk,
            questions,
            consumer,
            queues: BTreeMap::new(),
            unannounced: BTreeSet::new(),
            topic: None,
            leaving: None,
            renew: false,
            stuck: BTreeMap::new(),
            asked: None,
            ask_at: now,
            commit_at: now + COMMIT_EVERY,
            turn_at: now,
        }
    }

    /// Works until the end, and leaves the group.
    pub(super) fn run(mut self) -> End {
        let end = loop {
            if self.desk.is_closed() {
                break End::Closed;
            }
            let now = Instant::now();
            self.hear_client(now);
            self.let_go(now);
            self.heed_group(now);
            self.hear_answer(now);
            if self.renew && self.leaving.is_none() && !self.revoke_all(now) {
                break End::Renew;
            }
            self.begin_starts(now);
            self.collect();
            self.ask(now);
            self.commit_sometimes(now);
            self.desk.bell.wait(if self.stuck.is_empty() { TURN } else { SEEK_AGAIN });
        };
        self.commit();
        // The client is closed with the last reference to it, and answers the group by itself.
        self.consumer.context().leave();
        self.queues.clear();
        end
    }

    /// Takes what the client has to say: decisions of the group, and errors.
    fn hear_client(&mut self, now: Instant) {
        // Asked now and then in any case, so that the group knows that this thread lives.
        if !self.consumer.context().was_talkative() && now < self.turn_at {
            return;
        }
        self.turn_at = now + TURN;
        let (consumer, mut strays) = (self.consumer.clone(), BTreeSet::new());
        for _ in 0..EVENTS_A_TURN {
            match consumer.poll(Duration::ZERO) {
                None => {}
                Some(Ok(record)) => drop(strays.insert(record.partition())),
                Some(Err(error)) => self.heed_error(&error, now),
            }
        }
        for partition in strays {
            self.catch_stray(partition);
        }
    }

    /// A record came past the queue of its partition, fetched before there was one: reads it again, in order.
    fn catch_stray(&mut self, partition: i32) {
        if self.queues.contains_key(&partition) {
            tracing::debug!(partition, "records came past the queue");
            self.split_queue(partition);
            self.desk.start_again(partition, false);
        }
    }

    /// One decision of the group after the other: a revocation is answered before the next is looked at.
    fn heed_group(&mut self, now: Instant) {
        while self.leaving.is_none()
            && let Some(decision) = self.consumer.context().take_decision()
        {
            self.heed(decision, now);
            self.let_go(now);
        }
    }

    fn heed(&mut self, decision: Rebalance, now: Instant) {
        match decision {
            Rebalance::Assign(partitions) => self.take_on(&partitions, now),
            Rebalance::Revoke { partitions, lost } => {
                if lost {
                    tracing::warn!(
                        ?partitions,
                        "the group gave the partitions away: it did not hear of us in time"
                    );
                }
                self.leaving = Some(self.revoke(partitions, true, now));
            }
        }
    }

    /// Assigns partitions at rest: paused, and at an offset that needs no question. librdkafka would ask where a logical
    /// one is, and ask again when it was moved meanwhile, and then move back.
    fn take_on(&mut self, partitions: &[i32], now: Instant) {
        for partition in partitions {
            self.split_queue(*partition);
            self.unannounced.insert(*partition);
        }
        let anywhere = || partitions.iter().map(|partition| (*partition, Offset::Offset(0)));
        if let Err(error) = self.consumer.pause(&member::list(&self.config.topic, anywhere())) {
            tracing::warn!(%error, "partitions could not be paused");
        }
        self.assign(anywhere());
        self.asked = None;
        self.ask_at = now;
    }

    /// Records of the partition go to a queue of its own from now on, also when it is assigned later.
    fn split_queue(&mut self, partition: i32) {
        let Some(mut queue) = self.consumer.split_partition_queue(&self.config.topic, partition) else {
            tracing::error!(partition, "there is no queue for the partition");
            return;
        };
        let desk = self.desk.clone();
        queue.set_nonempty_callback(move || desk.bell.ring());
        self.queues.insert(partition, queue);
    }

    fn revoke(&mut self, partitions: Vec<i32>, answer_group: bool, now: Instant) -> Leaving {
        for partition in &partitions {
            self.queues.remove(partition);
            self.stuck.remove(partition);
            self.unannounced.remove(partition);
        }
        let deadline = now + self.config.reader.let_go;
        Leaving::begin(self.desk, partitions, answer_group, deadline)
    }

    /// False when the reader has no partition.
    fn revoke_all(&mut self, now: Instant) -> bool {
        let announced = self.desk.announced();
        if announced.is_empty() {
            return false;
        }
        self.leaving = Some(self.revoke(announced, false, now));
        true
    }

    /// Answers the group when the reader has let the revoked partitions go.
    fn let_go(&mut self, now: Instant) {
        let Some(leaving) = self.leaving.take_if(|leaving| leaving.is_over(now)) else { return };
        self.commit();
        if leaving.answer_group {
            let list = member::list(
                &self.config.topic,
                leaving.partitions.iter().map(|partition| (*partition, Offset::Invalid)),
            );
            if let Err(error) = self.consumer.incremental_unassign(&list) {
                tracing::warn!(%error, "partitions could not be given back");
            }
        }
    }

    fn assign(&self, partitions: impl IntoIterator<Item = (i32, Offset)>) {
        let list = member::list(&self.config.topic, partitions);
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(%error, "partitions could not be taken");
        }
    }

    /// Begins partitions where the reader said: by a seek, or by assigning anew when librdkafka has stopped to fetch.
    fn begin_starts(&mut self, now: Instant) {
        // Unassigning would be taken for the answer to the group.
        if self.leaving.is_some() {
            return;
        }
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
        let list = member::list(&self.config.topic, starts.iter().map(position));
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions could not be moved");
        }
        self.assign(starts.iter().map(position));
        for due in starts {
            self.stuck.remove(&due.partition);
            self.split_queue(due.partition);
        }
    }

    /// A partition that was assigned a moment ago is not fetched yet and cannot be moved before it is.
    fn seek(&mut self, starts: &[Due], now: Instant) {
        let list = member::list(&self.config.topic, starts.iter().map(position));
        let sought = match self.consumer.seek_partitions(list, SOUGHT_WITHIN) {
            Ok(list) => {
                list.elements().iter().filter(|one| one.error().is_ok()).map(|one| one.partition()).collect()
            }
            Err(_) => BTreeSet::<i32>::new(),
        };
        let list = member::list(
            &self.config.topic,
            starts.iter().filter(|due| sought.contains(&due.partition)).map(position),
        );
        if let Err(error) = self.consumer.resume(&list) {
            tracing::warn!(%error, "partitions could not be resumed");
        }
        for Due { partition, .. } in starts {
            if sought.contains(partition) {
                self.stuck.remove(partition);
            } else {
                let since = *self.stuck.entry(*partition).or_insert(now);
                self.desk.start_again(*partition, now >= since + STUCK);
            }
        }
    }

    fn collect(&mut self) {
        let now = Instant::now();
        for due in self.desk.wanted() {
            let Some(queue) = self.queues.get(&due.partition) else { continue };
            let (batch, error) = drain(queue, due);
            let next = batch.as_ref().and_then(|batch| batch.records.last()).map(|last| last.offset + 1);
            if let Some(batch) = batch {
                self.desk.offer(due, batch);
            }
            if let Some(error) = error {
                self.heed_partition_error(Due { next: next.unwrap_or(due.next), ..due }, &error, now);
            }
        }
    }

    fn heed_partition_error(&mut self, due: Due, error: &KafkaError, now: Instant) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                if self.desk.halt(due) {
                    self.asked = None;
                    self.ask_at = now;
                }
            }
            _ => self.heed_error(error, now),
        }
    }

    fn heed_error(&mut self, error: &KafkaError, now: Instant) {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                tracing::error!(%code, "the consumer cannot go on and is replaced");
                self.renew = true;
            }
            _ => match error.rdkafka_error_code() {
                // Of a partition whose queue was not there yet: those that cannot be moved are assigned anew.
                Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    let partitions: Vec<i32> = self.queues.keys().copied().collect();
                    partitions.into_iter().for_each(|partition| self.catch_stray(partition));
                }
                // One of several brokers, and it may come back.
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {}
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    self.ask_at = now;
                }
                _ => self.desk.trouble(error.to_string()),
            },
        }
    }

    /// Asks what has to be known, or whether the topic is still the same.
    fn ask(&mut self, now: Instant) {
        if self.asked.is_some() || now < self.ask_at {
            return;
        }
        let halted = || self.queues.keys().any(|partition| self.desk.halted(*partition).is_some());
        let question = match !self.unannounced.is_empty() || halted() {
            true => Question::Offsets,
            false => Question::Identity,
        };
        self.questions.ask(question);
        self.asked = Some(question);
    }

    fn hear_answer(&mut self, now: Instant) {
        let Some(answer) = self.questions.answer() else { return };
        if self.asked.take().is_none() {
            return;
        }
        self.ask_at = now + self.config.reader.check_topic;
        match answer {
            Answer::Identity(Ok(description)) => self.recognise(&description, now),
            Answer::Offsets(Ok(offsets)) => self.place(&offsets),
            Answer::Identity(Err(error)) | Answer::Offsets(Err(error)) => {
                self.ask_at = now + ASK_AGAIN;
                self.tell(&error);
            }
        }
    }

    /// A broker that is away for a moment is not worth a word as long as records may flow.
    fn tell(&self, error: &LookupError) {
        if matches!(error, LookupError::NoTopic(_)) || !self.unannounced.is_empty() {
            self.desk.trouble(error.to_string());
        }
    }

    fn recognise(&mut self, description: &Description, now: Instant) {
        if self.is_another(description.topic) {
            return;
        }
        if *self.membership == Membership::Alone {
            let numbers = description.partitions.iter().map(|(partition, _)| *partition);
            let new: Vec<i32> = numbers.filter(|partition| !self.queues.contains_key(partition)).collect();
            if !new.is_empty() {
                self.take_on(&new, now);
            }
        }
    }

    /// Whether the topic was made anew since the client began to read it.
    fn is_another(&mut self, topic: TopicId) -> bool {
        let known = *self.topic.get_or_insert(topic);
        if known != topic {
            tracing::warn!(%known, %topic, "the topic was made anew");
            self.renew = true;
        }
        known != topic
    }

    /// Announces partitions and moves halted ones, now that their ends are known.
    fn place(&mut self, offsets: &[PartitionOffsets]) {
        if offsets.iter().any(|offsets| self.is_another(offsets.topic)) {
            return;
        }
        let ours = offsets.iter().filter(|offsets| self.unannounced.remove(&offsets.partition));
        let assignments: Vec<Assignment> = ours.map(assignment).collect();
        self.desk.announce(assignments);
        for offsets in offsets {
            if let Some(halt) = self.desk.halted(offsets.partition) {
                self.move_halted(offsets, halt);
            }
        }
    }

    fn move_halted(&self, offsets: &PartitionOffsets, Halt { next, moved }: Halt) {
        let PartitionOffsets { partition, log_start, end, .. } = *offsets;
        match next {
            // Retention was faster; the gap below the log's start says so.
            _ if next < log_start => self.desk.read_on(partition, log_start, log_start),
            _ if next <= end => self.desk.read_on(partition, next, log_start),
            // Its owner finds out by asking its store again, against the new end.
            _ if moved => {
                tracing::error!(partition, next, end, "the topic has lost records that were read already");
                self.desk.revoke(&[partition], Box::new(|| ()));
                self.desk.announce(vec![assignment(offsets)]);
            }
            _ => {
                self.desk.park(partition);
                self.desk.trouble(format!(
                    "partition {partition} ends at offset {end}, and {next} was to be read: the topic has lost records"
                ));
            }
        }
    }

    fn commit_sometimes(&mut self, now: Instant) {
        if now >= self.commit_at {
            self.commit_at = now + COMMIT_EVERY;
            self.commit();
        }
    }

    fn commit(&self) {
        let commits = self.desk.take_commits();
        if commits.is_empty() || *self.membership == Membership::Alone {
            return;
        }
        let offsets = commits.into_iter().map(|(partition, next)| (partition, Offset::Offset(next)));
        let list = member::list(&self.config.topic, offsets);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "offsets were not committed");
        }
    }
}

fn position(due: &Due) -> (i32, Offset) {
    (due.partition, Offset::Offset(due.next))
}

fn assignment(offsets: &PartitionOffsets) -> Assignment {
    let PartitionOffsets { topic, partition, log_start, end } = *offsets;
    Assignment { topic, partition, log_start, end }
}
