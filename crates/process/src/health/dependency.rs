//! A dependency: how it is asked, and the line that tells what came.

use super::seen::Seen;
use futures::FutureExt;
use std::{
    fmt::{self, Write as _},
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout};

/// Longest time for a check: longer than what clients of a database or of brokers give themselves, because they say why.
const DEADLINE: Duration = Duration::from_secs(6);
/// How much of a reason is shown, in characters.
const SHOWN_REASON: usize = 300;

pub(super) type Outcome = Result<(), String>;
type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;
type BreakerState = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Something that a process uses.
pub struct Dependency {
    name: &'static str,
    check: Check,
    deadline: Duration,
    is_needed: bool,
    breaker: Option<BreakerState>,
    seen: Mutex<Seen>,
}

impl Dependency {
    /// One that has to be there for the process to be ready, checked within 6 s. `Err` says why it is not there, for an
    /// operator to read.
    #[must_use]
    pub fn new<F, Fut>(name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let check: Check = Box::new(move || Box::pin(check()));
        Self { name, check, deadline: DEADLINE, is_needed: true, breaker: None, seen: Mutex::default() }
    }

    /// Shown to people, and not needed to be ready: without it the process is still of use, or says best itself what is out.
    #[must_use]
    pub fn only_shown(self) -> Self {
        Self { is_needed: false, ..self }
    }

    /// Checked within a time of its own.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// With a circuit breaker before it, whose state this tells; `None` while there is none.
    #[must_use]
    pub fn breaker(self, state: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { breaker: Some(Box::new(state)), ..self }
    }

    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Asks it. Answers whether the process can be ready, and the line for people.
    pub(super) async fn look(&self, clock: impl Fn() -> SystemTime) -> (bool, String) {
        let start = Instant::now();
        // A check that panics is one that failed, not a reason to stop probing.
        let guarded = AssertUnwindSafe(async { (self.check)().await }).catch_unwind();
        let outcome = match timeout(self.deadline, guarded).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err("the check panicked".into()),
            Err(_elapsed) => Err(format!("no answer within {:?}", self.deadline)),
        };
        let took = start.elapsed();
        let since = self.seen.lock().unwrap_or_else(PoisonError::into_inner).see(outcome.is_ok(), clock());
        (outcome.is_ok() || !self.is_needed, self.line(&outcome, took, since))
    }

    fn line(&self, outcome: &Outcome, took: Duration, since: SystemTime) -> String {
        let (sign, words) = match (outcome, self.is_needed) {
            (Ok(()), _) => ('+', "ok"),
            (Err(_), true) => ('-', "failed"),
            (Err(_), false) => ('!', "failed (not needed to be ready)"),
        };
        let millis = took.as_secs_f64() * 1e3;
        let since = humantime::format_rfc3339_seconds(since);
        let mut line = format!("[{sign}]{} {words} {millis:.1}ms since {since}", self.name);
        if let Some(state) = self.breaker.as_ref().and_then(|state| state()) {
            let _ = write!(line, ", breaker {state}");
        }
        if let Err(reason) = outcome {
            let _ = write!(line, ": {}", one_line(reason));
        }
        line.push('\n');
        line
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, deadline, is_needed, .. } = self;
        write!(f, "Dependency({name}, needed: {is_needed}, within {deadline:?})")
    }
}

/// A reason must not look like another line of the report.
fn one_line(reason: &str) -> String {
    reason.chars().take(SHOWN_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_reason_stays_on_its_line_and_is_bounded() {
        assert_eq!(one_line("down\n[+]store ok"), "down [+]store ok");
        assert_eq!(one_line(&"x".repeat(1000)).len(), SHOWN_REASON);
    }

    #[test]
    fn a_line_tells_state_latency_since_when_breaker_and_reason() {
        let line = |dependency: &Dependency, outcome: Result<(), &str>| {
            let outcome = outcome.map_err(str::to_owned);
            dependency.line(&outcome, Duration::from_micros(1234), UNIX_EPOCH + Duration::from_secs(86400))
        };
        let kafka = Dependency::new("kafka", async || Ok(())).breaker(|| Some("open".into()));
        assert_eq!(line(&kafka, Ok(())), "[+]kafka ok 1.2ms since 1970-01-02T00:00:00Z, breaker open\n");
        assert_eq!(
            line(&kafka, Err("no broker")),
            "[-]kafka failed 1.2ms since 1970-01-02T00:00:00Z, breaker open: no broker\n"
        );
        let postgres = Dependency::new("postgres", async || Ok(())).only_shown().breaker(|| None);
        assert_eq!(line(&postgres, Ok(())), "[+]postgres ok 1.2ms since 1970-01-02T00:00:00Z\n");
        assert_eq!(
            line(&postgres, Err("refused")),
            "[!]postgres failed (not needed to be ready) 1.2ms since 1970-01-02T00:00:00Z: refused\n"
        );
    }
}
