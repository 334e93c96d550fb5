//! The loop that owns the reader: hands out partitions and records, and never waits for the store.

use crate::{
    batch::Limits,
    hold::Gate,
    metrics::Metrics,
    partition::{Delivery, Report, Worker},
    retries, status,
};
use prometheus_client::registry::Registry;
use resilience::{Backoff, Breakers};
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::Sink;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use topic::{Assignment, Event, ReadError, Reader, Revocation, Truncation};

/// Longest wait before a topic that cannot be read is asked again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// How a consumer works.
#[derive(Debug, Clone)]
pub struct Config {
    /// When a batch is stored.
    pub batch: Limits,
    /// Bytes of a partition's records in memory; beyond them the partition is paused.
    pub partition_bytes: usize,
    /// Waits between the tries of a broken record; after the last it is a dead letter.
    pub retry_delays: Vec<Duration>,
    /// Longest wait between two tries in an outage, 1 ms to a day.
    pub outage_cap: Duration,
    /// How long a partition may take to let go when another consumer gets it, and at the end.
    pub let_go: Duration,
    /// Name of the topic, for traces.
    pub topic: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            batch: Limits { records: 2_000, bytes: 4 << 20, linger: Duration::from_millis(50) },
            partition_bytes: 16 << 20,
            retry_delays: [1, 2, 4].map(Duration::from_secs).to_vec(),
            outage_cap: Duration::from_secs(5),
            let_go: Duration::from_secs(10),
            topic: "logs".to_owned(),
        }
    }
}

/// A worker panicked: an invariant is broken, and the process should end and be started anew. What is stored is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker of partition {partition} panicked; nothing is lost, start the process again")]
pub struct Panicked {
    /// Whose worker.
    pub partition: i32,
}

/// What the loop, the workers and the retries share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) metrics: Metrics,
    pub(crate) gate: Gate,
    pub(crate) letters_came: Notify,
}

/// A consumer of one topic into one store.
pub struct Consumer {
    shared: Arc<Shared>,
}

/// A partition this consumer owns, from the side of the loop.
struct Owned {
    assignment: Assignment,
    deliveries: mpsc::UnboundedSender<Delivery>,
    closing: CancellationToken,
    task: JoinHandle<()>,
    generation: u64,
    /// Whether the worker has said where to begin; records before that belong to an earlier worker.
    started: bool,
    paused: bool,
    /// Bytes handed to the worker and not stored yet.
    bytes: usize,
}

impl Consumer {
    /// A consumer that stores into `sink`, shows its breaker among `breakers` and counts in `registry`. Needs a runtime.
    pub fn new(
        config: Config,
        sink: Arc<dyn Sink>,
        breakers: &Breakers,
        registry: &mut Registry,
    ) -> Consumer {
        let metrics = Metrics::register(registry);
        let gate = Gate::new(&config);
        breakers.show("store-writes", &gate.breaker);
        Consumer { shared: Arc::new(Shared { config, sink, metrics, gate, letters_came: Notify::new() }) }
    }

    /// `GET /internal/v1/status` for the gateway's overview.
    pub fn router(&self) -> axum::Router {
        status::router(Arc::clone(&self.shared))
    }

    /// Consumes until `stop`; then stores what is in hand and ends.
    ///
    /// # Errors
    /// [`Panicked`], before `stop`.
    pub async fn run(&self, reader: Box<dyn Reader>, stop: CancellationToken) -> Result<(), Panicked> {
        let (reports_in, mut reports) = mpsc::unbounded_channel();
        let retries =
            AbortOnDropHandle::new(tokio::spawn(retries::run(Arc::clone(&self.shared), stop.clone())));
        let mut consuming = Consuming {
            shared: &self.shared,
            reader,
            owned: HashMap::new(),
            reports: reports_in,
            generations: 0,
        };
        let mut backoff = Backoff::new(Duration::from_millis(100), READ_AGAIN);
        let mut read_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((partition, generation, report)) = reports.recv() => consuming.heed(partition, generation, report)?,
                event = next(&mut *consuming.reader, read_at) => match event {
                    Ok(event) => {
                        backoff.reset();
                        consuming.follow(event).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "reading the topic failed; trying again");
                        read_at = Instant::now() + backoff.next(rand::random());
                    }
                },
            }
        }
        let all = consuming.owned.keys().copied().collect();
        consuming.close(all).await;
        // Its stop is the same token; a retry in flight ends with its transaction.
        let _ = retries.await;
        Ok(())
    }
}

/// The next event, not before `read_at`. Safe to drop and call again.
async fn next(reader: &mut dyn Reader, read_at: Instant) -> Result<Event, ReadError> {
    sleep_until(read_at).await;
    reader.next().await
}

struct Consuming<'a> {
    shared: &'a Arc<Shared>,
    reader: Box<dyn Reader>,
    owned: HashMap<i32, Owned>,
    reports: mpsc::UnboundedSender<(i32, u64, Report)>,
    generations: u64,
}

impl Consuming<'_> {
    async fn follow(&mut self, event: Event) {
        match event {
            Event::Assigned(assignments) => self.take_on(assignments),
            Event::Records(records) => self.hand_out(records),
            Event::Truncated(truncation) => self.pass_on(truncation),
            Event::Revoked(revocation) => self.give_back(revocation).await,
        }
    }

    fn take_on(&mut self, assignments: Vec<Assignment>) {
        for assignment in assignments {
            tracing::debug!(partition = assignment.partition, "assigned");
            self.generations += 1;
            let (deliveries, receiver) = mpsc::unbounded_channel();
            let closing = CancellationToken::new();
            let worker = Worker {
                shared: Arc::clone(self.shared),
                assignment,
                deliveries: receiver,
                reports: self.reports.clone(),
                generation: self.generations,
                closing: closing.clone(),
            };
            let owned = Owned {
                assignment,
                deliveries,
                closing,
                task: tokio::spawn(worker.run()),
                generation: self.generations,
                started: false,
                paused: false,
                bytes: 0,
            };
            self.owned.insert(assignment.partition, owned);
        }
        self.show_assigned();
    }

    fn hand_out(&mut self, batch: topic::Batch) {
        let Some(owned) = self.owned.get_mut(&batch.partition).filter(|owned| owned.started) else { return };
        owned.bytes += batch.records.iter().map(|record| record.payload.len()).sum::<usize>();
        if owned.bytes > self.shared.config.partition_bytes && !owned.paused {
            owned.paused = true;
            self.reader.pause(batch.partition);
        }
        // A worker that has let go drops its end; it is replaced when its report is heard.
        let _ = owned.deliveries.send(Delivery::Records(batch));
    }

    fn pass_on(&mut self, truncation: Truncation) {
        let owned = self.owned.get(&truncation.partition).filter(|owned| owned.started);
        if let Some(owned) = owned {
            let _ = owned.deliveries.send(Delivery::Truncated(truncation));
        }
    }

    fn heed(&mut self, partition: i32, generation: u64, report: Report) -> Result<(), Panicked> {
        let Some(owned) = self.owned.get_mut(&partition).filter(|owned| owned.generation == generation)
        else {
            return Ok(());
        };
        match report {
            Report::Start { offset } => {
                owned.started = true;
                self.reader.start(partition, offset);
            }
            Report::Stored { next, bytes } => {
                owned.bytes = owned.bytes.saturating_sub(bytes);
                self.reader.commit(partition, next);
                if owned.paused && owned.bytes <= self.shared.config.partition_bytes / 2 {
                    owned.paused = false;
                    self.reader.resume(partition);
                }
            }
            Report::LetGo => {
                tracing::info!(
                    partition,
                    "another consumer moved the position; asking the store where to go on"
                );
                let assignment = owned.assignment;
                if owned.paused {
                    self.reader.resume(partition);
                }
                self.take_on(vec![assignment]);
            }
            Report::Panicked => return Err(Panicked { partition }),
        }
        Ok(())
    }

    /// Lets partitions go: their next owner gets them when `revocation` is dropped, after their last transaction.
    async fn give_back(&mut self, revocation: Revocation) {
        self.close(revocation.partitions.clone()).await;
        drop(revocation);
    }

    async fn close(&mut self, partitions: Vec<i32>) {
        let closed: Vec<Owned> =
            partitions.iter().filter_map(|partition| self.owned.remove(partition)).collect();
        let tasks: Vec<(i32, JoinHandle<()>)> = closed
            .into_iter()
            .map(|owned| {
                owned.closing.cancel();
                (owned.assignment.partition, owned.task)
            })
            .collect();
        let deadline = Instant::now() + self.shared.config.let_go;
        for (partition, mut task) in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!(
                    partition,
                    "the last transaction did not end in time; letting go all the same"
                );
                task.abort();
            }
        }
        self.show_assigned();
    }

    fn show_assigned(&self) {
        self.shared.metrics.assigned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }
}
