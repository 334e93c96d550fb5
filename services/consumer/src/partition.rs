//! The worker of one partition: collects its records and stores them, one transaction after the other.

use crate::{
    batch::{Batch, Segment},
    consume::Shared,
    decide::{Decision, Tried, decide, retry_at},
    hold::{Closed, Hold},
    traces::Traces,
};
use futures::FutureExt;
use record::Timestamp;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{FlushError, Flushed, PartitionKey, Position};
use tokio::{sync::mpsc, time::timeout_at};
use tokio_util::sync::CancellationToken;
use topic::{Assignment, Truncation};
use trace::Exemplar;

/// What a worker tells the loop that owns the reader.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    /// Deliver the partition from here on.
    Start { offset: i64 },
    /// Everything below `next` is stored; so many bytes of records are out of the way.
    Stored { next: i64, bytes: usize },
    /// The worker has ended because another consumer moved the position.
    LetGo,
    /// The worker has ended by a panic: an invariant is broken.
    Panicked,
}

/// What the loop tells a worker.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Records to store.
    Records(topic::Batch),
    /// The partition ends before the position that the worker began at.
    Truncated(Truncation),
}

/// A worker from the side of the worker.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) assignment: Assignment,
    pub(crate) deliveries: mpsc::UnboundedReceiver<Delivery>,
    pub(crate) reports: mpsc::UnboundedSender<(i32, u64, Report)>,
    /// Tells reports of this worker from those of an earlier one of the same partition.
    pub(crate) generation: u64,
    /// Set when the worker is to end: it stores what it has, but waits for no outage.
    pub(crate) closing: CancellationToken,
}

/// The worker cannot go on.
enum End {
    /// Another consumer owns the partition.
    LetGo,
    /// It was told to end, in an outage; the next owner reads again what it had.
    Closed,
}

impl From<Closed> for End {
    fn from(_: Closed) -> End {
        End::Closed
    }
}

impl Worker {
    /// Works until the loop closes the channel, or the partition is another's.
    pub(crate) async fn run(mut self) {
        let end = AssertUnwindSafe(self.work()).catch_unwind().await;
        match end {
            Ok(Ok(()) | Err(End::Closed)) => {}
            Ok(Err(End::LetGo)) => self.report(Report::LetGo),
            Err(_) => self.report(Report::Panicked),
        }
    }

    async fn work(&mut self) -> Result<(), End> {
        let mut begun = self.position().await?;
        let mut batch = self.begin(begun);
        while let Some(delivery) = self.receive(batch.due_at()).await {
            match delivery {
                Some(Delivery::Records(records)) => {
                    batch.push(records.log_start, records.records, Instant::now());
                }
                Some(Delivery::Truncated(truncation)) if truncation.offset == begun.next => {
                    begun = self.begin_epoch(begun, truncation).await?;
                    batch = self.begin(begun);
                }
                // Of a start before this one; or it is time to store.
                Some(Delivery::Truncated(_)) | None => {}
            }
            while batch.is_due(Instant::now()) {
                if let Some(segment) = batch.take(Instant::now()) {
                    self.store(begun.of, segment).await?;
                }
            }
        }
        while let Some(segment) = batch.take(Instant::now()) {
            self.store(begun.of, segment).await?;
        }
        Ok(())
    }

    /// Asks for what comes from a position on.
    fn begin(&self, at: Position) -> Batch {
        self.report(Report::Start { offset: at.next });
        Batch::new(at.next, self.shared.config.batch)
    }

    /// What the loop tells next; `Some(None)` when it told nothing before `due`, `None` when it closed the channel.
    async fn receive(&mut self, due: Option<Instant>) -> Option<Option<Delivery>> {
        match due {
            None => self.deliveries.recv().await.map(Some),
            Some(due) => match timeout_at(due.into(), self.deliveries.recv()).await {
                Ok(received) => received.map(Some),
                Err(_) => Some(None),
            },
        }
    }

    /// Where the store says to begin; a partition it does not know begins at the log's start.
    async fn position(&self) -> Result<Position, End> {
        let Assignment { topic, partition, log_start, .. } = self.assignment;
        let asked = Position { of: PartitionKey { topic: topic.0, partition, epoch: 0 }, next: log_start };
        let mut hold = self.hold();
        loop {
            let permit = hold.permit().await?;
            match self.shared.sink.positions(&[asked]).await {
                Ok(positions) => {
                    hold.answered(permit);
                    return Ok(positions.first().copied().unwrap_or(asked));
                }
                Err(error) => hold.failed(permit, &error.0).await?,
            }
        }
    }

    /// Begins the next epoch of the partition, which has lost records that are stored: what comes at their offsets now
    /// is other records, and none of them may be passed over.
    async fn begin_epoch(&self, stored: Position, truncation: Truncation) -> Result<Position, End> {
        let Truncation { partition, offset, log_start, end } = truncation;
        let mut hold = self.hold();
        loop {
            let permit = hold.permit().await?;
            match self.shared.sink.begin_epoch(stored, log_start, end).await {
                Ok(begun) => {
                    hold.answered(permit);
                    self.shared.metrics.truncations.inc();
                    tracing::error!(
                        partition,
                        stored = offset,
                        end,
                        epoch = begun.of.epoch,
                        begins_at = begun.next,
                        "the topic lost records that were acknowledged and stored, as after an unclean election of a \
                         leader; their offsets belong to others now: a new epoch begins in the ledger"
                    );
                    return Ok(begun);
                }
                Err(FlushError::Moved { .. }) => {
                    hold.answered(permit);
                    return Err(End::LetGo);
                }
                Err(error) => hold.failed(permit, &error.to_string()).await?,
            }
        }
    }

    /// Stores the segment, cutting out and setting aside what the store refuses, waiting while the store is out.
    async fn store(&self, of: PartitionKey, segment: Segment) -> Result<(), End> {
        let (mut hold, taken) = (self.hold(), Instant::now());
        let mut todo = vec![segment];
        while let Some(mut segment) = todo.pop() {
            let now = Timestamp::now();
            let flush =
                segment.to_flush(of, retry_at(&self.shared.config.retry_delays, 1, now).unwrap_or(now));
            let (rows, letters, lost) = (flush.rows.len(), flush.letters.len(), flush.lost);
            let tried = Tried {
                records: segment.items.len(),
                next: segment.next(),
                set_aside: letters > 0,
                after_outage: hold.is_holding(),
            };
            let permit = hold.permit().await?;
            let begun = Instant::now();
            match decide(tried, self.shared.sink.flush(flush).await) {
                Decision::Done(Flushed { duplicates }) => {
                    hold.answered(permit);
                    self.shared.metrics.duplicates.inc_by(duplicates as u64);
                    let took = begun.elapsed();
                    let traces = Traces::of(&segment);
                    self.count(took, traces.exemplar(), rows, letters, lost);
                    traces.tell(&self.shared.config.topic, of.partition, taken, begun, took);
                    self.report(Report::Stored { next: segment.next(), bytes: segment.bytes() });
                }
                Decision::Split => {
                    hold.answered(permit);
                    let (first, second) = segment.split();
                    todo.extend(second);
                    todo.push(first);
                }
                Decision::SetAside(refusal) => {
                    hold.answered(permit);
                    segment.refused = Some(refusal);
                    todo.push(segment);
                }
                Decision::Hold(reason) => {
                    todo.push(segment);
                    // There may be no room for letters, while there is for rows.
                    match letters {
                        0 => hold.failed(permit, &reason).await?,
                        _ => hold.failed_alone(permit, &reason).await?,
                    }
                }
                Decision::LetGo => {
                    hold.answered(permit);
                    return Err(End::LetGo);
                }
            }
        }
        Ok(())
    }

    fn hold(&self) -> Hold<'_> {
        Hold::new(&self.shared.gate, &self.shared.metrics, self.assignment.partition, &self.closing)
    }

    fn count(&self, took: Duration, exemplar: Option<Exemplar>, rows: usize, letters: usize, lost: i64) {
        let metrics = &self.shared.metrics;
        metrics.flushes.inc();
        metrics.flush_seconds.observe(took.as_secs_f64(), exemplar, None);
        metrics.stored.inc_by(rows as u64);
        if letters > 0 {
            metrics.set_aside.inc_by(letters as u64);
            self.shared.letters_came.notify_one();
        }
        if lost > 0 {
            metrics.lost.inc_by(lost.unsigned_abs());
            tracing::error!(
                partition = self.assignment.partition,
                lost,
                "retention deleted records before they were read"
            );
        }
    }

    fn report(&self, report: Report) {
        // The loop is gone only when the process ends; there is nobody left to tell.
        let _ = self.reports.send((self.assignment.partition, self.generation, report));
    }
}
