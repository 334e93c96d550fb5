//! Liveness and readiness, as Kubernetes probes ask for them and as its own API server prints them.

mod dependency;
mod group;
mod seen;

pub use dependency::Dependency;

use group::{Clock, Group};
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// What a process uses, each dependency by name. Clones share whether the process is to stop, those with more dependencies
/// too.
///
/// ```
/// use process::health::{Dependency, Readiness};
/// let readiness = Readiness::new()
///     .check("topic", || async { Err("no broker answers".to_owned()) })
///     .with(Dependency::new("store", || async { Ok(()) }).only_shown());
/// let app: axum::Router = readiness.router();
/// ```
#[derive(Clone)]
pub struct Readiness {
    needed: Group,
    shown: Group,
    draining: Arc<AtomicBool>,
    clock: Clock,
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
        Self::by(Arc::new(SystemTime::now))
    }

    fn by(clock: Clock) -> Self {
        Self { needed: Group::default(), shown: Group::default(), draining: Arc::default(), clock }
    }

    /// Adds a dependency.
    #[must_use]
    pub fn with(mut self, dependency: Dependency) -> Self {
        let group = if dependency.is_needed() { &mut self.needed } else { &mut self.shown };
        group.add(dependency);
        self
    }

    /// Adds a dependency that is needed and has no circuit breaker.
    #[must_use]
    pub fn check<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(Dependency::new(name, check))
    }

    /// Not ready from now on: the process is about to stop, and traffic should go elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// `GET /livez` (the process answers: always `ok`) and `GET /readyz[?verbose]` (200, or 503 with the reasons).
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/livez", get(async || plain(StatusCode::OK, "ok".into())))
            .merge(Router::new().route("/readyz", get(readyz)).with_state(self.clone()))
    }
}

async fn readyz(State(readiness): State<Readiness>, RawQuery(query): RawQuery) -> Response {
    let Readiness { needed, shown, draining, clock } = &readiness;
    let verbose =
        query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key == "verbose=true"));
    let (needed, shown) = if verbose {
        tokio::join!(needed.report(clock), shown.report(clock))
    } else {
        // A probe that waits for what is not needed would run out of time, and take the process out of rotation after all.
        shown.refresh(clock);
        (needed.report(clock).await, Arc::default())
    };
    let draining = draining.load(Ordering::Acquire);
    let passed = needed.passed && !draining;
    if passed && !verbose {
        return plain(StatusCode::OK, "ok".into());
    }
    let mut text = format!("{}{}", needed.lines, shown.lines);
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

#[cfg(test)]
mod tests;
