//! The store as a worker meets it: behind a breaker that all workers of the process share, so that a store that is out
//! is tried by one of them at a time, and all go on together when it is back.

use crate::{consume::Config, metrics::Metrics};
use resilience::{Backoff, BreakerConfig, PermitGuard, SharedBreaker, Window};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Waits between the tries of one worker while the breaker is closed: a transaction that fails alone, as in a deadlock,
/// is tried again soon.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The first wait of the open breaker.
const OPEN_WAIT: Duration = Duration::from_millis(500);

/// The breaker, and why partitions hold.
pub(crate) struct Gate {
    pub(crate) breaker: SharedBreaker,
    because: Mutex<String>,
}

impl Gate {
    pub(crate) fn new(config: &Config) -> Gate {
        let settings = BreakerConfig {
            window: Window::Count(10),
            minimum_calls: 3,
            open_wait: OPEN_WAIT.min(config.outage_cap),
            open_wait_cap: config.outage_cap,
            // A server that is loaded makes slow transactions; trying less often would not help it.
            slow_after: Duration::MAX,
            half_open_calls: 1,
            ..BreakerConfig::default()
        };
        let breaker =
            SharedBreaker::new(settings, rand::random::<f64>).expect("Config says what outage_cap may be");
        Gate { breaker, because: Mutex::default() }
    }

    /// Why partitions hold, or held last.
    pub(crate) fn because(&self) -> String {
        self.because.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold_because(&self, reason: &str) {
        reason.clone_into(&mut self.because.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The worker is to end: what it has is for the next owner of the partition to read again.
pub(crate) struct Closed;

/// One piece of work of a worker with the store, until it is done.
pub(crate) struct Hold<'a> {
    gate: &'a Gate,
    metrics: &'a Metrics,
    closing: &'a CancellationToken,
    partition: i32,
    backoff: Backoff,
    holding: bool,
}

impl<'a> Hold<'a> {
    /// Of a partition, whose worker is to end with `closing`.
    pub(crate) fn new(
        gate: &'a Gate,
        metrics: &'a Metrics,
        partition: i32,
        closing: &'a CancellationToken,
    ) -> Hold<'a> {
        let (base, cap) = TRY_AGAIN;
        Hold { gate, metrics, closing, partition, backoff: Backoff::new(base, cap), holding: false }
    }

    /// Whether a try has failed.
    pub(crate) fn is_holding(&self) -> bool {
        self.holding
    }

    /// Waits for leave to try. Without waiting, it is had also when the worker is to end.
    pub(crate) async fn permit(&self) -> Result<PermitGuard, Closed> {
        tokio::select! {
            biased;
            permit = self.gate.breaker.acquire_or_wait() => Ok(permit),
            () = self.closing.cancelled() => Err(Closed),
        }
    }

    /// The try has failed: waits before the next one.
    pub(crate) async fn failed(&mut self, permit: PermitGuard, reason: &str) -> Result<(), Closed> {
        permit.failed(reason);
        self.wait(reason).await
    }

    /// The try has failed for a cause that may lie in this partition, and is no reason for the others to hold.
    pub(crate) async fn failed_alone(&mut self, permit: PermitGuard, reason: &str) -> Result<(), Closed> {
        permit.ignored();
        self.wait(reason).await
    }

    async fn wait(&mut self, reason: &str) -> Result<(), Closed> {
        if !self.holding {
            self.holding = true;
            self.metrics.holding.inc();
            self.gate.hold_because(reason);
            let partition = self.partition;
            tracing::warn!(partition, reason, "the store is out: the partition holds until it is back");
        }
        tokio::select! {
            () = sleep(self.backoff.next(rand::random())) => Ok(()),
            () = self.closing.cancelled() => Err(Closed),
        }
    }

    /// The store has answered.
    pub(crate) fn answered(&mut self, permit: PermitGuard) {
        permit.succeeded();
        self.over();
    }

    fn over(&mut self) {
        if self.holding {
            self.holding = false;
            self.backoff.reset();
            self.metrics.holding.dec();
            tracing::info!(partition = self.partition, "the store is back: the partition goes on");
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.holding {
            self.metrics.holding.dec();
        }
    }
}
