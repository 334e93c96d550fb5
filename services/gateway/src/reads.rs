//! The store as the read routes meet it: behind a circuit breaker, with answers kept for a while.
//!
//! An answer is kept as the bytes that were sent. While it is fresh it answers the same question again; later, and when the
//! store is out, it answers marked as stale (`Cache-Status`, RFC 9211, with a `ttl` below zero). Callers that ask the same at
//! the same time share one question to the store.

mod freshness;
mod kept;
mod metrics;
mod shared;

pub(crate) use freshness::Freshness;
pub(crate) use kept::Key;

use crate::redis::Redis;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use kept::{Entry, Kept};
use metrics::{Metrics, Outcome};
use process::problem::Problem;
use prometheus_client::registry::Registry;
use resilience::{BreakerConfig, Breakers, CallError, Outcome as Call, Refused, SharedBreaker};
use serde::Serialize;
use shared::Shared as SharedAnswers;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::QueryError;
use tokio::time::timeout;

/// A store that is asked for longer does not answer; searches and counts end by their own budgets before.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Whoever waits longer gets what is kept, if anything is, while the store is asked on.
const PATIENCE: Duration = Duration::from_secs(1);

/// How answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes of answers kept in this process.
    pub bytes: u64,
    /// How long an answer about the present is fresh; at zero it is asked for every time.
    pub present: Duration,
    /// How long an answer about the past is fresh.
    pub past: Duration,
    /// How long it is kept after that, for the time when the store is out.
    pub stale: Duration,
}

impl Default for CacheConfig {
    /// 64 MiB; 1 s, 1 min, 15 min.
    fn default() -> CacheConfig {
        CacheConfig {
            bytes: 64 << 20,
            present: Duration::from_secs(1),
            past: Duration::from_secs(60),
            stale: Duration::from_secs(15 * 60),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("the store did not answer, and is left alone for a while")]
    Open(Refused),
    /// The question cannot be answered, which shows only when the store was asked.
    #[error("{0}")]
    Question(String),
    /// The store has answered: there is no such thing.
    #[error("{0}")]
    NotFound(String),
}

/// The one place where the store's errors become HTTP.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        let retry_after = match &error {
            ReadError::Question(_) => return Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
            ReadError::NotFound(_) => return Problem::new(StatusCode::NOT_FOUND, error.to_string()),
            ReadError::Open(refused) => refused.retry_after,
            ReadError::Query(_) => Duration::from_secs(1),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; ask again later"))
            .retry_after(retry_after)
    }
}

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    body: Bytes,
    /// Of the kept answer that this is; `None` when the store was asked for it.
    kept: Option<Age>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Age {
    age: Duration,
    /// Seconds that it stays fresh, below zero when it is stale.
    ttl: i64,
}

impl axum::response::IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let status = match self.kept {
            Some(Age { age, ttl }) => {
                headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
                format!("logpipeline; hit; ttl={ttl}")
            }
            None => "logpipeline; fwd=miss".to_owned(),
        };
        headers.insert("cache-status", HeaderValue::from_str(&status).expect("words and numbers"));
        response
    }
}

/// What a question has brought.
#[derive(Debug, Clone)]
struct Brought {
    entry: Entry,
    source: Source,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Store,
    OtherGateway,
}

type Asking = BoxFuture<'static, Result<Brought, ReadError>>;
type Flight = Shared<Asking>;

/// Asks the store; clones share everything.
#[derive(Clone)]
pub struct Reads(Arc<Inner>);

struct Inner {
    config: CacheConfig,
    breaker: SharedBreaker,
    kept: Kept,
    shared: SharedAnswers,
    flights: Mutex<HashMap<Key, WeakShared<Asking>>>,
    metrics: Metrics,
}

impl Reads {
    /// Nothing kept yet but what other gateways keep in `redis`; the breaker is shown as `store-reads`.
    pub fn new(
        config: CacheConfig,
        redis: Option<Redis>,
        breakers: &Breakers,
        registry: &mut Registry,
    ) -> Reads {
        let breaker =
            BreakerConfig { minimum_calls: 5, open_wait_cap: Duration::from_secs(15), ..Default::default() };
        let breaker = SharedBreaker::new(breaker, rand::random::<f64>).expect("constant settings are right");
        breakers.show("store-reads", &breaker);
        let kept = Kept::new(config.bytes, config.past + config.stale);
        let metrics = Metrics::register(registry, kept.clone());
        let shared = SharedAnswers(redis);
        Reads(Arc::new(Inner { config, breaker, kept, shared, flights: Mutex::default(), metrics }))
    }

    /// What the store answers, which is not kept.
    pub(crate) async fn ask<T>(
        &self,
        ask: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, ReadError> {
        let says = |answer: &Result<T, QueryError>| match answer {
            Ok(_) => Call::Succeeded,
            Err(QueryError::Busy) => Call::Ignored,
            Err(error @ QueryError::Unavailable(_)) => Call::Failed(error.to_string()),
        };
        // Within the call, so that the breaker hears of it.
        let ask = async {
            let silent = || QueryError::Unavailable(format!("no answer within {ANSWERED_WITHIN:?}"));
            timeout(ANSWERED_WITHIN, ask).await.unwrap_or_else(|_| Err(silent()))
        };
        self.0.breaker.call(ask, says).await.map_err(|error| match error {
            CallError::Refused(refused) => ReadError::Open(refused),
            CallError::Failed(error) => ReadError::Query(error),
        })
    }

    /// The answer to the question of that key: a kept one while it is fresh, else what `make` answers, else a stale one.
    pub(crate) async fn answer<T: Serialize + Send + 'static>(
        &self,
        key: Key,
        freshness: Freshness,
        make: impl Future<Output = Result<T, ReadError>> + Send + 'static,
    ) -> Result<Answer, ReadError> {
        let (inner, now) = (&self.0, Instant::now());
        let fresh_for = freshness.of(&inner.config);
        let kept = inner.kept.get(&key);
        if let Some(entry) = kept.as_ref().filter(|entry| entry.age(now) < fresh_for) {
            inner.metrics.count(Outcome::Hit);
            return Ok(entry.answer(fresh_for, now));
        }
        let made = Arc::clone(inner).bring(key.clone(), fresh_for, make).boxed();
        let (flight, is_first) = match fresh_for.is_zero() {
            // Who wants it as it is now gets no answer that was asked for earlier.
            true => (made.shared(), true),
            false => self.join(&key, made),
        };
        match flown(flight, kept.is_some()).await {
            Ok(Brought { entry, source }) => {
                let now = Instant::now();
                let outcome = match source {
                    _ if !is_first => Outcome::Joined,
                    Source::Store => Outcome::Miss,
                    Source::OtherGateway if entry.age(now) < fresh_for => Outcome::Shared,
                    Source::OtherGateway => Outcome::Stale,
                };
                inner.metrics.count(outcome);
                Ok(match source {
                    Source::Store => entry.just_made(),
                    Source::OtherGateway => entry.answer(fresh_for, now),
                })
            }
            Err(error @ (ReadError::NotFound(_) | ReadError::Question(_))) => Err(error),
            Err(error) => match kept {
                Some(entry) => {
                    inner.metrics.count(Outcome::Stale);
                    Ok(entry.answer(fresh_for, Instant::now()))
                }
                None => {
                    inner.metrics.count(Outcome::Error);
                    Err(error)
                }
            },
        }
    }

    /// The question under way for the key, or this one, and whether it is this one. It is given up when nobody waits for
    /// it any more.
    fn join(&self, key: &Key, made: Asking) -> (Flight, bool) {
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) =
            flights.get(key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none())
        {
            return (flight, false);
        }
        // Whatever has ended goes, so that there are never more than are under way.
        flights.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        let flight = made.shared();
        flights.insert(key.clone(), flight.downgrade().expect("it was not polled yet"));
        (flight, true)
    }
}

impl Inner {
    /// Another gateway's answer while it is fresh, else the store's, else the other's nevertheless. What comes is kept before
    /// anybody hears of it, so that nobody asks in between.
    async fn bring<T: Serialize + Send + 'static>(
        self: Arc<Self>,
        key: Key,
        fresh_for: Duration,
        make: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Brought, ReadError> {
        let others = if fresh_for.is_zero() { None } else { self.shared.get(&key).await };
        if let Some((body, age)) = others.clone().filter(|(_, age)| *age < fresh_for) {
            return Ok(self.keep_of_others(key, body, age));
        }
        match make.await {
            Ok(value) => {
                let entry = Entry::new(json(&value), Instant::now());
                self.shared.keep(&key, entry.body(), fresh_for + self.config.stale);
                self.kept.keep(key, entry.clone());
                Ok(Brought { entry, source: Source::Store })
            }
            Err(error @ (ReadError::NotFound(_) | ReadError::Question(_))) => Err(error),
            Err(error) => {
                let others = if fresh_for.is_zero() { self.shared.get(&key).await } else { others };
                others.map(|(body, age)| self.keep_of_others(key, body, age)).ok_or(error)
            }
        }
    }

    fn keep_of_others(&self, key: Key, body: Bytes, age: Duration) -> Brought {
        let now = Instant::now();
        let entry = Entry::new(body, now.checked_sub(age).unwrap_or(now));
        self.kept.keep(key, entry.clone());
        Brought { entry, source: Source::OtherGateway }
    }
}

/// What a flight brings. With a kept answer at hand it is not waited for long; it goes on by itself then.
async fn flown(flight: Flight, has_kept: bool) -> Result<Brought, ReadError> {
    if !has_kept {
        return flight.await;
    }
    timeout(PATIENCE, flight.clone()).await.unwrap_or_else(|_| {
        tokio::spawn(flight);
        Err(ReadError::Query(QueryError::Unavailable(format!("no answer within {PATIENCE:?}"))))
    })
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("answers have string keys only and memory takes all writes").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn reads(present: Duration) -> Reads {
        let config = CacheConfig { present, ..CacheConfig::default() };
        Reads::new(config, None, &Breakers::default(), &mut Registry::default())
    }

    fn key(organization: &str) -> Key {
        let organization = Some(organization.parse().unwrap());
        Key { organization, route: "logs", question: "q".into() }
    }

    /// What a client sees: the body, and whether it was kept and how fresh it is.
    async fn seen(answer: Result<Answer, ReadError>) -> (String, String) {
        let response = answer.unwrap().into_response();
        let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (String::from_utf8(body.to_vec()).unwrap(), status)
    }

    fn out() -> ReadError {
        ReadError::Query(QueryError::Unavailable("it is stopped".into()))
    }

    #[tokio::test]
    async fn callers_who_ask_the_same_at_one_time_share_one_question() {
        let (reads, asked) = (reads(Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
        let ask = |organization: &str| {
            let asked = asked.clone();
            reads.answer(key(organization), Freshness::Present, async move {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::SeqCst))
            })
        };
        let answers = futures::future::join_all((0..100).map(|_| ask("acme"))).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap().body == "0"));
        assert_eq!(seen(ask("acme").await).await, ("0".into(), "logpipeline; hit; ttl=59".into()));
        // Another organisation asks for itself, whatever it asks.
        assert_eq!(seen(ask("globex").await).await, ("1".into(), "logpipeline; fwd=miss".into()));
    }

    #[tokio::test]
    async fn a_kept_answer_serves_as_stale_while_the_store_is_out_and_no_longer() {
        let reads = reads(Duration::ZERO);
        let ask =
            |answer: Result<u32, ReadError>| reads.answer(key("acme"), Freshness::Now, async move { answer });
        assert_eq!(seen(ask(Ok(1)).await).await.0, "1");
        assert_eq!(seen(ask(Err(out())).await).await, ("1".into(), "logpipeline; hit; ttl=-1".into()));
        assert_eq!(seen(ask(Ok(2)).await).await, ("2".into(), "logpipeline; fwd=miss".into()));
        assert!(reads.answer(key("other"), Freshness::Now, async { Err::<u32, _>(out()) }).await.is_err());
        let gone = ask(Err(ReadError::NotFound("gone".into()))).await;
        assert!(matches!(gone, Err(ReadError::NotFound(_))), "what the store knows is not contradicted");
    }

    #[tokio::test]
    async fn a_store_that_is_out_is_left_alone() {
        let reads = reads(Duration::ZERO);
        let unavailable = || async { Err::<(), _>(QueryError::Unavailable("stopped".into())) };
        while matches!(reads.ask(unavailable()).await, Err(ReadError::Query(_))) {}
        let refused = reads.ask(async { panic!("the store is asked") as Result<(), QueryError> }).await;
        let problem = Problem::from(refused.unwrap_err());
        assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.into_response().headers().contains_key("retry-after"));
    }
}
