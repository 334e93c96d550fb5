//! Liveness and readiness, as Kubernetes probes ask for them and as its own API server prints them.

use std::fmt::Write as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use futures::future::join_all;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Longest time for one check.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long an outcome is repeated without a new check.
const FRESH: Duration = Duration::from_secs(1);
/// How much of a reason is shown, in characters.
const SHOWN_REASON: usize = 300;

type Outcome = Result<(), String>;
type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// What a process needs to serve, each dependency by name. Clones share everything.
///
/// ```
/// let readiness = process::health::Readiness::new()
///     .check("store", || async { Ok(()) })
///     .check("topic", || async { Err("no broker answers".to_owned()) });
/// let app: axum::Router = readiness.router();
/// ```
#[derive(Clone)]
pub struct Readiness {
    checks: Vec<Arc<Named>>,
    shared: Arc<Shared>,
}

struct Named {
    name: &'static str,
    deadline: Duration,
    run: Check,
}

struct Shared {
    draining: AtomicBool,
    /// Held while checks run, so that probes that come meanwhile share one run.
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

struct Report {
    lines: String,
    passed: bool,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Ready, with nothing to check.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { draining: AtomicBool::new(false), last: Mutex::new(None) };
        Self { checks: Vec::new(), shared: Arc::new(shared) }
    }

    /// Adds a dependency, checked within 2 s. `Err` says why it is not there, for an operator to read.
    #[must_use]
    pub fn check<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        self.check_within(name, DEADLINE, check)
    }

    /// Adds a dependency with a deadline of its own.
    #[must_use]
    pub fn check_within<F, Fut>(mut self, name: &'static str, deadline: Duration, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        let run: Check = Box::new(move || Box::pin(check()));
        self.checks.push(Arc::new(Named { name, deadline, run }));
        self
    }

    /// Not ready from now on: the process is about to stop, and traffic should go elsewhere.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// `GET /livez` (the process answers: always `ok`) and `GET /readyz[?verbose]` (200, or 503 with the reasons).
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/livez", get(async || plain(StatusCode::OK, "ok".into())))
            .merge(Router::new().route("/readyz", get(readyz)).with_state(self.clone()))
    }

    /// The outcome of the last second, or of a new run that goes on even if this caller goes away: a dependency
    /// that is slower than the probe's patience would otherwise be asked again and again.
    async fn report(&self) -> Arc<Report> {
        let readiness = self.clone();
        let run = tokio::spawn(async move {
            let mut last = readiness.shared.last.lock().await;
            if let Some((at, report)) = &*last
                && at.elapsed() < FRESH
            {
                return Arc::clone(report);
            }
            let report = Arc::new(readiness.run_checks().await);
            *last = Some((Instant::now(), Arc::clone(&report)));
            report
        });
        run.await.unwrap_or_else(|_| {
            Arc::new(Report { lines: "[-]readyz failed: the check did not end\n".into(), passed: false })
        })
    }

    async fn run_checks(&self) -> Report {
        let lines = join_all(self.checks.iter().map(|check| check.line())).await;
        let mut report = Report { lines: String::new(), passed: true };
        for (passed, line) in lines {
            report.passed &= passed;
            report.lines.push_str(&line);
        }
        report
    }
}

impl Named {
    async fn line(&self) -> (bool, String) {
        let start = Instant::now();
        // A check that panics is one that failed, not a reason to stop probing.
        let guarded = AssertUnwindSafe(async { (self.run)().await }).catch_unwind();
        let outcome = match timeout(self.deadline, guarded).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err("the check panicked".into()),
            Err(_elapsed) => Err(format!("no answer within {:?}", self.deadline)),
        };
        match outcome {
            Ok(()) => {
                let millis = start.elapsed().as_secs_f64() * 1e3;
                (true, format!("[+]{} ok {millis:.1}ms\n", self.name))
            }
            Err(reason) => (false, format!("[-]{} failed: {}\n", self.name, one_line(&reason))),
        }
    }
}

async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let report = readiness.report().await;
    let draining = readiness.shared.draining.load(Ordering::Acquire);
    let passed = report.passed && !draining;
    let verbose =
        query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key == "verbose=true"));
    if passed && !verbose {
        return plain(StatusCode::OK, "ok".into());
    }
    let mut text = report.lines.clone();
    if draining {
        text.push_str("[-]shutdown failed: the process is stopping\n");
    }
    let (status, verdict) =
        if passed { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let _ = writeln!(text, "readyz check {verdict}");
    plain(status, text)
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}

/// A reason must not look like another line of the report.
fn one_line(reason: &str) -> String {
    reason.chars().take(SHOWN_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_its_line_and_is_bounded() {
        assert_eq!(one_line("down\n[+]store ok"), "down [+]store ok");
        assert_eq!(one_line(&"x".repeat(1000)).len(), SHOWN_REASON);
    }
}
