//! One pause for all connections, when the pipeline asks for it.

use resilience::Backoff;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// First and longest wait when the pipeline does not say how long.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What is added to a wait at most, as a part of it, so that many generators do not return together.
const SPREAD: f64 = 0.1;

/// Backoff of one batch, or of all.
pub(crate) fn backoff() -> Backoff {
    Backoff::new(WAITS.0, WAITS.1)
}

/// Until when nobody sends.
pub(crate) struct Pause(Mutex<State>);

struct State {
    until: Instant,
    backoff: Backoff,
}

impl Pause {
    pub(crate) fn new() -> Pause {
        Pause(Mutex::new(State { until: Instant::now(), backoff: backoff() }))
    }

    /// Holds all connections for as long as the pipeline asks, or for a while. `jitter` in 0..=1 is the caller's random
    /// number. Answers to requests that were on their way when a pause began do not make it longer by themselves.
    pub(crate) fn hold(&self, retry_after: Option<Duration>, jitter: f64) {
        let mut state = self.state();
        let now = Instant::now();
        let wait = match retry_after {
            Some(wait) => wait + wait.mul_f64(SPREAD * jitter),
            None if now < state.until => return,
            None => state.backoff.next(jitter),
        };
        state.until = state.until.max(now + wait);
    }

    /// Notes that the pipeline takes events.
    pub(crate) fn succeeded(&self) {
        self.state().backoff.reset();
    }

    pub(crate) fn until(&self) -> Instant {
        self.state().until
    }

    /// Waits until the pause is over.
    pub(crate) async fn passed(&self) {
        while self.until() > Instant::now() {
            sleep_until(self.until()).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_as_long_as_asked_and_is_not_added_up() {
        let (pause, begin) = (Pause::new(), Instant::now());
        for _ in 0..8 {
            pause.hold(Some(Duration::from_secs(2)), 0.0);
            pause.hold(None, 1.0);
        }
        pause.passed().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(2));
        pause.hold(None, 1.0);
        pause.passed().await;
        assert_eq!(begin.elapsed(), Duration::from_millis(2_100));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wish_pauses_grow_until_a_success() {
        let pause = Pause::new();
        let mut waits = Vec::new();
        for turn in 0..4 {
            if turn == 3 {
                pause.succeeded();
            }
            let begin = Instant::now();
            pause.hold(None, 1.0);
            pause.passed().await;
            waits.push(begin.elapsed().as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 100]);
    }
}
