//! One batch, until each of its events has a verdict or its time is over.

mod decide;

use crate::{
    acked::AckedFile,
    answer::shown,
    batch::Batch,
    client::Client,
    halt::{Cause, Halt},
    pause::{Pause, backoff},
    rng::Rng,
    source::Due,
    stats::{Stats, Trouble},
};
use decide::{Decision, Next, Wait, decide};
use resilience::Backoff;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// What all deliveries of a run share.
pub(crate) struct Post {
    pub(crate) client: Client,
    pub(crate) pause: Pause,
    pub(crate) halt: Halt,
    pub(crate) stats: Stats,
    pub(crate) acked: Option<AckedFile>,
    /// How long a batch is tried again; without one for ever.
    pub(crate) give_up_after: Option<Duration>,
    /// Whether a batch that could not be sent ends the run: what follows must not come without it.
    pub(crate) all_or_none: bool,
    pub(crate) jitter: Mutex<Rng>,
}

impl Post {
    /// Sends a batch, and again what may be sent again. All of its events are counted in the end.
    pub(crate) async fn deliver(&self, due: Due) {
        let deadline = self.give_up_after.and_then(|after| Instant::now().checked_add(after));
        let mut backoff = backoff();
        let mut parts = vec![due.batch];
        while let Some(part) = parts.pop() {
            let answer = self.client.post(self.client.encode(part.body()), part.len()).await;
            let Decision { accepted, refused, next } = decide(&part, answer);
            if !accepted.is_empty() {
                if let Err(error) = self.acked.as_ref().map_or(Ok(()), |file| file.append(&accepted)) {
                    self.halt.because(Cause::AckedFile(error));
                }
                self.pause.succeeded();
                backoff.reset();
                // Latency counts until the last event is acknowledged, not for each part.
                let whole = parts.is_empty() && matches!(next, Next::Done);
                self.stats.accepted(accepted.len(), whole.then(|| due.due.elapsed()));
            }
            for reason in refused {
                self.stats.lost(Trouble::Rejected, &reason, 1);
            }
            match next {
                Next::Done => {}
                Next::Halves(first, second) => parts.extend([second, first]),
                Next::Hopeless(reason) => {
                    parts.push(part);
                    self.give_up(&parts, &reason);
                    return self.halt.because(Cause::Hopeless(reason));
                }
                Next::Again(rest, wait, reason) => {
                    self.stats.retrying(&reason);
                    parts.push(rest);
                    let until = self.hold(&wait, &mut backoff, deadline);
                    match self.wait(until, deadline).await {
                        Waited::Over => {}
                        Waited::Halted => return self.give_up(&parts, &reason),
                        Waited::TooLong => {
                            self.give_up(&parts, &reason);
                            if self.all_or_none {
                                self.halt.because(Cause::GivenUp(reason));
                            }
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Until when to wait before the next try; the last one is at the deadline.
    fn hold(&self, wait: &Wait, backoff: &mut Backoff, deadline: Option<Instant>) -> Instant {
        let jitter = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).unit();
        match wait {
            Wait::Everyone(retry_after) => {
                self.pause.hold(*retry_after, jitter);
                self.pause.until()
            }
            Wait::Alone => {
                let until = Instant::now() + backoff.next(jitter);
                deadline.map_or(until, |deadline| until.min(deadline))
            }
        }
    }

    async fn wait(&self, mut until: Instant, deadline: Option<Instant>) -> Waited {
        loop {
            if deadline.is_some_and(|deadline| until > deadline || Instant::now() >= deadline) {
                return Waited::TooLong;
            }
            tokio::select! {
                biased;
                () = self.halt.halted() => return Waited::Halted,
                () = sleep_until(until) => {}
            }
            // Others may have been told to wait meanwhile.
            until = self.pause.until();
            if until <= Instant::now() {
                return Waited::Over;
            }
        }
    }

    fn give_up(&self, parts: &[Batch], reason: &str) {
        self.stats.lost(Trouble::Failed, &shown(reason), parts.iter().map(Batch::len).sum());
    }
}

/// How a wait ended.
enum Waited {
    Over,
    /// The run ends.
    Halted,
    /// It would be longer than the batch is tried again.
    TooLong,
}
