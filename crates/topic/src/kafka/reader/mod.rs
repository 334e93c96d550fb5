//! A reader on Kafka.
//!
//! ```text
//! Reader::next ◀─ desk: news, one batch a partition ◀─ thread: polls, answers the group, collects
//! start, pause ─▶ desk: where to begin, what rests   ─▶   ╰▶ second thread: looks up ids and ends of partitions
//! ```
//! Each partition has a queue of its own in librdkafka. A paused one is simply not drained: librdkafka stops fetching
//! when its queue is full, and nothing has to be fetched twice.

mod bell;
mod desk;
mod drain;
mod fetching;
mod leaving;
mod member;
mod questions;
mod session;

pub(super) use member::Membership;

use super::config::Config;
use super::context::Context;
use super::lookup::Lookup;
use super::metrics::Metrics;
use crate::{Event, ReadError, Reader};
use async_trait::async_trait;
use desk::Desk;
use questions::Questions;
use session::{End, Session};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long dropping a reader waits for it to leave its group, so that the others need not wait for its session.
const LEFT_WITHIN: Duration = Duration::from_secs(3);
/// Before a client that could not be made is tried again.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// A reader with a thread that polls for it.
pub(super) struct KafkaReader {
    desk: Arc<Desk>,
    /// Disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl KafkaReader {
    pub(super) fn new(
        config: Config,
        membership: Membership,
        metrics: Metrics,
        lookup: Arc<Lookup>,
    ) -> KafkaReader {
        let desk = Arc::new(Desk::default());
        let (ending, ended) = mpsc::channel();
        let thread = Thread { config, membership, metrics, desk: desk.clone() };
        let end = EndOfThread { desk: desk.clone(), _ending: ending };
        let spawned = std::thread::Builder::new().name("topic-reader".into()).spawn(move || {
            let _end = end;
            thread.run(lookup);
        });
        if let Err(error) = spawned {
            desk.trouble(format!("its thread cannot be started: {error}"));
        }
        KafkaReader { desk, ended }
    }
}

/// Nobody may wait for a thread that is gone.
struct EndOfThread {
    desk: Arc<Desk>,
    _ending: mpsc::Sender<()>,
}

impl Drop for EndOfThread {
    fn drop(&mut self) {
        self.desk.end();
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.desk.close();
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(LEFT_WITHIN) {
            tracing::info!("the group did not answer in time; it will notice that the reader is gone");
        }
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Event, ReadError> {
        // A caller that never waits elsewhere lets others run here; nothing is in hand yet.
        tokio::task::consume_budget().await;
        self.desk.next().await
    }

    fn start(&mut self, partition: i32, offset: i64) {
        if !self.desk.start(partition, offset) {
            tracing::warn!(partition, "start of a partition that this reader does not own");
        }
    }

    fn pause(&mut self, partition: i32) {
        self.desk.set_paused(partition, true);
    }

    fn resume(&mut self, partition: i32) {
        self.desk.set_paused(partition, false);
    }

    fn commit(&mut self, partition: i32, next_offset: i64) {
        self.desk.commit(partition, next_offset);
    }
}

struct Thread {
    config: Config,
    membership: Membership,
    metrics: Metrics,
    desk: Arc<Desk>,
}

impl Thread {
    /// One client after the other, until the reader is dropped.
    fn run(self, lookup: Arc<Lookup>) {
        let mut questions = match Questions::new(lookup, self.desk.clone()) {
            Ok(questions) => questions,
            Err(error) => return self.desk.trouble(format!("its thread cannot be started: {error}")),
        };
        while !self.desk.is_closed() {
            let context = Context { role: "reader", metrics: self.metrics() };
            match member::connect(&self.config, &self.membership, context, &self.desk) {
                Ok(consumer) => {
                    let session =
                        Session::new(&self.config, &self.membership, &self.desk, &mut questions, consumer);
                    if session.run() == End::Closed {
                        return;
                    }
                }
                Err(error) => {
                    self.desk.trouble(error.to_string());
                    self.desk.bell.wait(CONNECT_AGAIN);
                }
            }
        }
    }

    /// A viewer's tail is nobody's lag.
    fn metrics(&self) -> Option<super::metrics::ClientMetrics> {
        match self.membership {
            Membership::Group(_) => Some(self.metrics.of("reader")),
            Membership::Alone => None,
        }
    }
}
