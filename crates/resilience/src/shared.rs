//! A breaker for all callers of one dependency: takes the time, guards permits, lets callers wait.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::breaker::{Breaker, BreakerConfig, ConfigMistakes, Permit, Refused, Snapshot, Status};

/// What a call says about the dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Succeeded,
    /// It does not, and why.
    Failed(String),
    /// Nothing: the call itself was wrong.
    Ignored,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The breaker let no call through; nothing was tried.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The call went through and failed.
    #[error(transparent)]
    Failed(E),
}

/// A [`Breaker`] of many callers. Clones are the same breaker.
///
/// A call that its caller drops counts in no rate. So a time limit belongs inside the call, where it makes a failure.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use resilience::{BreakerConfig, Outcome, SharedBreaker};
/// # let random = || 0.5;
/// # async fn ask() -> Result<u32, std::io::Error> { Ok(7) }
/// let breaker = SharedBreaker::new(BreakerConfig::default(), random)?;
///
/// // A caller that would rather fail at once than wait.
/// let answer = breaker.call(ask(), |result| match result {
///     Ok(_) => Outcome::Succeeded,
///     Err(error) => Outcome::Failed(error.to_string()),
/// });
/// assert_eq!(answer.await?, 7);
///
/// // A worker that holds until the dependency is back.
/// loop {
///     let guard = breaker.acquire_or_wait().await;
///     match ask().await {
///         Ok(_) => break guard.succeeded(),
///         Err(error) => guard.failed(error.to_string()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedBreaker {
    inner: Arc<Inner>,
}

struct Inner {
    breaker: Mutex<Breaker>,
    random: Box<dyn Fn() -> f64 + Send + Sync>,
    status: watch::Sender<Status>,
    /// A call may perhaps go through that could not before.
    eased: Notify,
}

impl SharedBreaker {
    /// A closed breaker, when the settings are right. `random` makes numbers in 0..=1, such as `rand::random`.
    pub fn new(
        config: BreakerConfig,
        random: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<SharedBreaker, ConfigMistakes> {
        let now = now();
        let breaker = Breaker::new(config, now)?;
        let status = watch::Sender::new(breaker.status());
        let breaker = Mutex::new(breaker);
        let inner = Inner { breaker, random: Box::new(random), status, eased: Notify::new() };
        Ok(SharedBreaker { inner: Arc::new(inner) })
    }

    /// Makes a call if one may go through now; `classify` tells what its result says about the dependency. The future
    /// of a refused call is dropped without having begun.
    pub async fn call<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<T, CallError<E>> {
        let guard = self.acquire()?;
        let result = future.await;
        guard.report(classify(&result));
        result.map_err(CallError::Failed)
    }

    /// Leave for one call, which begins now.
    pub fn acquire(&self) -> Result<PermitGuard, Refused> {
        self.with(Breaker::acquire).map(|permit| self.guard(permit))
    }

    /// Leave for one call, as soon as one may go through: for a worker that holds in an outage instead of failing.
    /// The time of the call begins then. A worker that waits does not count as refused.
    pub async fn acquire_or_wait(&self) -> PermitGuard {
        let permit = self.wait(|breaker, now| match breaker.refusal(now) {
            Some(refused) => Err(refused),
            None => breaker.acquire(now),
        });
        self.guard(permit.await)
    }

    /// Waits until a call may go through. Another caller can be faster; then the call is refused after all.
    pub async fn wait_ready(&self) {
        self.wait(|breaker, now| breaker.refusal(now).map_or(Ok(()), Err)).await;
    }

    /// Refuses all calls until [`SharedBreaker::reset`].
    pub fn force_open(&self) {
        self.with(|breaker, _| breaker.force_open());
    }

    /// Lets all calls through until [`SharedBreaker::reset`].
    pub fn force_closed(&self) {
        self.with(|breaker, _| breaker.force_closed());
    }

    /// Closes, as if it were new; what it has counted stays.
    pub fn reset(&self) {
        self.with(|breaker, _| breaker.reset());
    }

    /// All there is to see, for metrics.
    pub fn snapshot(&self) -> Snapshot {
        self.with(|breaker, now| breaker.snapshot(now))
    }

    /// Tells of transitions from now on, for a log.
    pub fn changes(&self) -> Changes {
        Changes { status: self.inner.status.subscribe() }
    }

    fn guard(&self, permit: Permit) -> PermitGuard {
        PermitGuard { breaker: self.clone(), permit: Some(permit) }
    }

    /// Tries until it is not refused: again when something has eased, or when the refusal said.
    async fn wait<T>(&self, attempt: impl Fn(&mut Breaker, Instant) -> Result<T, Refused>) -> T {
        loop {
            // Made before the attempt: it hears of everything from here on.
            let eased = self.inner.eased.notified();
            match self.with(&attempt) {
                Ok(done) => return done,
                // Whichever of the two ends the wait, the next attempt tells.
                Err(refused) => drop(tokio::time::timeout(refused.retry_after, eased).await),
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Breaker, Instant) -> T) -> T {
        let inner = &self.inner;
        // Each transition is complete before anything can panic, so a poisoned breaker is whole.
        let mut breaker = inner.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let before = breaker.generation();
        // Asked for under the lock, so that time never goes back.
        let now = now();
        // A trial that ran out is told even when all callers wait.
        breaker.advance(now);
        let result = act(&mut breaker, now);
        let changed = (breaker.generation() != before).then(|| breaker.status());
        drop(breaker);
        if let Some(status) = changed {
            inner.eased.notify_waiters();
            // Outside the lock, where two threads can overtake each other.
            inner.status.send_if_modified(|last| {
                let newer = status.generation > last.generation;
                if newer {
                    *last = status;
                }
                newer
            });
        }
        result
    }
}

impl fmt::Debug for SharedBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedBreaker").field(&self.snapshot()).finish()
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Leave for one call. Dropped without a report, it gives its place back.
#[derive(Debug)]
#[must_use = "the call is over when this is dropped"]
pub struct PermitGuard {
    breaker: SharedBreaker,
    permit: Option<Permit>,
}

impl PermitGuard {
    /// The call has succeeded.
    pub fn succeeded(self) {
        self.report(Outcome::Succeeded);
    }

    /// The call has failed, and it is the dependency's fault.
    pub fn failed(self, reason: impl Into<String>) {
        self.report(Outcome::Failed(reason.into()));
    }

    /// The call has ended in a way that says nothing about the dependency.
    pub fn ignored(self) {
        self.report(Outcome::Ignored);
    }

    /// The call has ended.
    pub fn report(mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else { return };
        let random = (self.breaker.inner.random)();
        let ignored = outcome == Outcome::Ignored;
        self.breaker.with(|breaker, now| match outcome {
            Outcome::Succeeded => breaker.succeeded(permit, now, random),
            Outcome::Failed(reason) => breaker.failed(permit, now, random, &reason),
            Outcome::Ignored => breaker.ignored(permit, now),
        });
        if ignored {
            self.breaker.inner.eased.notify_waiters();
        }
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.with(|breaker, now| breaker.dropped(permit, now));
            self.breaker.inner.eased.notify_waiters();
        }
    }
}

/// Tells of transitions. Whoever looks too seldom gets the last one only.
#[derive(Debug)]
pub struct Changes {
    status: watch::Receiver<Status>,
}

impl Changes {
    /// The state after the next transition; `None` when the breaker is gone.
    pub async fn next(&mut self) -> Option<Status> {
        self.status.changed().await.ok()?;
        Some(self.status.borrow_and_update().clone())
    }
}
