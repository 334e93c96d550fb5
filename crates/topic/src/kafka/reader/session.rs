//! The life of one consumer client: it polls, answers the group, and collects records, until the reader is dropped or
//! the topic is made anew, which librdkafka does not follow.

use super::desk::{Desk, Due, Halt};
use super::fetching::Fetching;
use super::leaving::Leaving;
use super::member::{self, Member, Membership, Rebalance};
use super::questions::{Answer, Question, Questions};
use crate::kafka::config::Config;
use crate::kafka::native::{Description, LookupError};
use crate::{Assignment, PartitionOffsets, TopicId, Truncation};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The thread looks at its duties this often although nobody rang.
const TURN: Duration = Duration::from_millis(100);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Before it is asked where a partition goes on whose offset the brokers do not have.
const HALTED_ASK: Duration = Duration::from_millis(20);
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
    fetching: Fetching,
    /// Assigned, and not told to the reader before their ends are known.
    unannounced: BTreeSet<i32>,
    /// The topic that the client reads.
    topic: Option<TopicId>,
    leaving: Option<Leaving>,
    renew: bool,
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
            fetching: Fetching::new(config.topic.clone(), consumer.clone(), desk.clone()),
            consumer,
            unannounced: BTreeSet::new(),
            topic: None,
            leaving: None,
            renew: false,
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
            // A partition that is assigned anew would be taken for the answer to the group.
            if self.leaving.is_none() {
                self.fetching.begin_starts(now);
            }
            for (due, error) in self.fetching.collect() {
                self.heed_partition_error(due, &error, now);
            }
            self.ask(now);
            self.commit_sometimes(now);
            self.desk.bell.wait(self.fetching.patience().min(TURN));
        };
        self.commit();
        // The client is closed with the last reference to it, and answers the group by itself.
        self.consumer.context().leave();
        self.fetching.end();
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
            self.fetching.catch_stray(partition);
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
            Rebalance::Assign(partitions) => self.take_on(partitions, now),
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

    fn take_on(&mut self, partitions: Vec<i32>, now: Instant) {
        self.fetching.take_on(&partitions);
        self.unannounced.extend(partitions);
        self.asked = None;
        self.ask_at = now;
    }

    fn revoke(&mut self, partitions: Vec<i32>, answer_group: bool, now: Instant) -> Leaving {
        for partition in &partitions {
            self.fetching.forget(*partition);
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
            self.fetching.unassign(leaving.partitions.iter().map(|partition| (*partition, Offset::Invalid)));
        }
    }

    fn heed_partition_error(&mut self, due: Due, error: &KafkaError, now: Instant) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                if self.desk.halt(due) {
                    self.asked = None;
                    // An offset that comes and goes must not keep this going in circles.
                    self.ask_at = now + HALTED_ASK;
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
                    self.fetching.partitions().into_iter().for_each(|one| self.fetching.catch_stray(one));
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
        let halted = || self.fetching.partitions().iter().any(|one| self.desk.halted(*one).is_some());
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
            let known = self.fetching.partitions();
            let new: Vec<i32> = numbers.filter(|partition| !known.contains(partition)).collect();
            if !new.is_empty() {
                self.take_on(new, now);
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
            // Its owner starts it again where its store says, and hears of the truncation.
            _ if moved => {
                tracing::error!(partition, next, end, "the topic has lost records that were read already");
                self.desk.revoke(&[partition], Box::new(|| ()));
                self.desk.announce(vec![assignment(offsets)]);
            }
            _ => self.desk.truncated(Truncation { partition, offset: next, log_start, end }),
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

fn assignment(offsets: &PartitionOffsets) -> Assignment {
    let PartitionOffsets { topic, partition, log_start, end } = *offsets;
    Assignment { topic, partition, log_start, end }
}
