//! Where batches come from and when each is due.

use crate::{
    batch::Batch,
    pace::{GRACE, Pace, Step},
    replay::{Progress, Reading},
    synth::Synth,
};
use std::{io, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// How long a batch waits to be filled.
    pub(crate) linger: Duration,
}

/// A batch to send now.
pub(crate) struct Due {
    pub(crate) batch: Batch,
    /// When it was due; latency counts from here. Without a rate that is when it was taken to be sent.
    pub(crate) due: Instant,
    /// How far the replay has come with it.
    pub(crate) progress: Option<Progress>,
}

/// Batches in the order of their time.
pub(crate) struct Source {
    feed: Feed,
    /// Without a rate, batches are due as soon as someone can send them.
    pace: Option<Pace>,
    limits: BatchLimits,
    begin: Instant,
    end: Option<Instant>,
}

enum Feed {
    Synth(Box<Synth>),
    Replay(Box<ReplayFeed>),
}

impl Source {
    pub(crate) fn synth(
        synth: Synth,
        pace: Option<Pace>,
        limits: BatchLimits,
        run_for: Option<Duration>,
    ) -> Source {
        Source::new(Feed::Synth(Box::new(synth)), pace, limits, run_for)
    }

    pub(crate) fn replay(
        reading: Reading,
        pace: Option<Pace>,
        limits: BatchLimits,
        run_for: Option<Duration>,
    ) -> Source {
        Source::new(Feed::Replay(Box::new(ReplayFeed::new(reading))), pace, limits, run_for)
    }

    fn new(feed: Feed, pace: Option<Pace>, limits: BatchLimits, run_for: Option<Duration>) -> Source {
        let begin = Instant::now();
        // A time too far away for the clock is no end.
        Source { feed, pace, limits, begin, end: run_for.and_then(|run_for| begin.checked_add(run_for)) }
    }

    /// Waits until a batch is due and gives it; `None` after the last one. May be dropped while it waits without
    /// losing events.
    pub(crate) async fn next(&mut self) -> Option<Due> {
        loop {
            let available = self.fill().await?;
            let now = Instant::now();
            let Some(pace) = &self.pace else {
                let over = self.end.is_some_and(|end| now >= end);
                return if over { None } else { Some(self.take(self.limits.events)) };
            };
            match pace.step(now - self.begin, available) {
                Step::Done => return None,
                Step::Wait(until) => sleep_until(self.begin + until).await,
                Step::Send(events) => return Some(self.take(events)),
            }
        }
    }

    /// Events that a batch could hold now; `None` when the input has ended or the run's time is over.
    async fn fill(&mut self) -> Option<usize> {
        let Feed::Replay(replay) = &mut self.feed else { return Some(self.limits.events) };
        let asked = self.begin.elapsed();
        match self.end {
            Some(end) if replay.available() == 0 => timeout_at(end, replay.fill(self.limits)).await.ok()?,
            _ => replay.fill(self.limits).await,
        }
        if let Some(pace) = &mut self.pace {
            pace.input_came(asked, self.begin.elapsed());
        }
        let available = replay.available().min(self.limits.events);
        (available > 0).then_some(available)
    }

    fn take(&mut self, events: usize) -> Due {
        let (batch, progress) = match &mut self.feed {
            Feed::Synth(synth) => (synth.batch(events, self.limits.bytes), None),
            Feed::Replay(replay) => (replay.take(events, self.limits.bytes), Some(replay.progress)),
        };
        let due = match &mut self.pace {
            Some(pace) => self.begin + pace.issue(batch.len()),
            None => Instant::now(),
        };
        Due { batch, due, progress }
    }

    /// Bytes of the file that is replayed, if it is one.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        match &self.feed {
            Feed::Synth(_) => None,
            Feed::Replay(replay) => replay.reading.total_bytes,
        }
    }

    /// Events that were due before the end of the run and were not sent, because the server was too slow. Of a run that
    /// is not at its end, those that are still in time are not counted.
    pub(crate) fn behind(&self) -> u64 {
        let now = self.begin.elapsed();
        let until = match self.end.map(|end| end - self.begin) {
            Some(end) if end <= now => Some(end),
            _ => now.checked_sub(self.limits.linger + GRACE),
        };
        match (&self.feed, &self.pace, until) {
            (Feed::Synth(_), Some(pace), Some(until)) => pace.behind(until),
            _ => 0,
        }
    }

    /// What was read, whether to its end, and the error that ended it.
    pub(crate) fn into_replay_end(self) -> Option<ReplayEnd> {
        match self.feed {
            Feed::Synth(_) => None,
            Feed::Replay(replay) => Some(ReplayEnd {
                progress: replay.progress,
                complete: replay.ended && replay.available() == 0,
                error: replay.error,
            }),
        }
    }
}

/// How a replay ended.
pub(crate) struct ReplayEnd {
    pub(crate) progress: Progress,
    pub(crate) complete: bool,
    pub(crate) error: Option<io::Error>,
}

/// Encoded lines that wait to be sent.
struct ReplayFeed {
    reading: Reading,
    pending: Batch,
    /// The first event of `pending` that was not taken.
    next: usize,
    progress: Progress,
    ended: bool,
    error: Option<io::Error>,
}

impl ReplayFeed {
    fn new(reading: Reading) -> ReplayFeed {
        let pending = Batch::default();
        ReplayFeed { reading, pending, next: 0, progress: Progress::default(), ended: false, error: None }
    }

    fn available(&self) -> usize {
        self.pending.len() - self.next
    }

    /// Waits for a first event, then until a batch is full or has waited long enough.
    async fn fill(&mut self, limits: BatchLimits) {
        let mut deadline = None;
        while !self.ended && self.available() < limits.events && self.pending.bytes() < limits.bytes {
            let next = if self.available() == 0 {
                self.reading.chunks.recv().await
            } else {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + limits.linger);
                match timeout_at(deadline, self.reading.chunks.recv()).await {
                    Ok(next) => next,
                    Err(_) => return,
                }
            };
            match next {
                Some(Ok(chunk)) => {
                    self.progress = chunk.progress;
                    self.append(chunk.batch);
                }
                Some(Err(error)) => self.error = Some(error),
                None => self.ended = true,
            }
        }
    }

    fn append(&mut self, batch: Batch) {
        if self.available() == 0 {
            self.pending = batch;
        } else {
            self.pending = self.pending.slice(self.next..self.pending.len());
            self.pending.append_slice(&batch, 0..batch.len());
        }
        self.next = 0;
    }

    fn take(&mut self, events: usize, bytes: usize) -> Batch {
        let count = self.pending.fitting(self.next, events, bytes);
        if self.next == 0 && count == self.pending.len() {
            return std::mem::take(&mut self.pending);
        }
        let batch = self.pending.slice(self.next..self.next + count);
        self.next += count;
        if self.available() == 0 {
            // What is taken must not count as bytes in hand.
            (self.pending, self.next) = (Batch::default(), 0);
        }
        batch
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
