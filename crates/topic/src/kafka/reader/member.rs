//! The consumer under a reader: a member of a group, or one that reads alone.

use super::desk::Desk;
use crate::kafka::config::Config;
use crate::kafka::context::Context;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a reader comes by its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) enum Membership {
    /// The group gives them.
    Group(String),
    /// It takes all of them.
    Alone,
}

/// What the group decided about this member. It waits for our answer, and meanwhile holds all its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign(Vec<i32>),
    Revoke {
        partitions: Vec<i32>,
        /// The group has given them away already, because it did not hear of us for too long.
        lost: bool,
    },
}

/// Notes what the group decides, for the thread to answer.
pub(super) struct Member {
    context: Context,
    decisions: Mutex<VecDeque<Rebalance>>,
    /// Whether the client may have something to say.
    talkative: Arc<AtomicBool>,
    leaving: AtomicBool,
}

/// A consumer that rings the desk's bell when it has something to say.
pub(super) fn connect(
    config: &Config,
    membership: &Membership,
    context: Context,
    desk: &Arc<Desk>,
) -> KafkaResult<Arc<BaseConsumer<Member>>> {
    let talkative = Arc::new(AtomicBool::new(true));
    let member = Member {
        context,
        decisions: Mutex::default(),
        talkative: talkative.clone(),
        leaving: AtomicBool::new(false),
    };
    let group = match membership {
        Membership::Group(group) => group.clone(),
        // librdkafka wants a name; nobody joins it and nothing is committed to it.
        Membership::Alone => format!("{}-alone", config.client_id),
    };
    let mut consumer = BaseConsumer::from_config_and_context(&config.consumer(&group), member)?;
    let desk = desk.clone();
    consumer.set_nonempty_callback(move || {
        talkative.store(true, Ordering::Release);
        desk.bell.ring();
    });
    if let Membership::Group(_) = membership {
        consumer.subscribe(&[&config.topic])?;
    }
    Ok(Arc::new(consumer))
}

impl Member {
    pub(super) fn take_decision(&self) -> Option<Rebalance> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whether the client was heard to have something to say since this was asked last.
    pub(super) fn was_talkative(&self) -> bool {
        self.talkative.swap(false, Ordering::AcqRel)
    }

    /// From now on the group is answered at once: the thread that would answer is about to end.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        decision: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigned = decision == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            answer_at_once(consumer, assigned, list);
            return;
        }
        let partitions = list.elements().iter().map(|element| element.partition()).collect();
        let decision = match assigned {
            true => Rebalance::Assign(partitions),
            false => Rebalance::Revoke { partitions, lost: consumer.assignment_lost() },
        };
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push_back(decision);
    }
}

fn answer_at_once(consumer: &BaseConsumer<Member>, assigned: bool, list: &TopicPartitionList) {
    let answered = match (assigned, consumer.rebalance_protocol()) {
        (true, _) => consumer.incremental_assign(list),
        (false, RebalanceProtocol::Cooperative) => consumer.incremental_unassign(list),
        (false, RebalanceProtocol::Eager | RebalanceProtocol::None) => consumer.unassign(),
    };
    if let Err(error) = answered {
        tracing::debug!(%error, "leaving the group");
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.context.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

/// A list of the topic's partitions, each at an offset.
pub(super) fn list(topic: &str, partitions: impl IntoIterator<Item = (i32, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset).expect("offsets are not negative");
    }
    list
}
