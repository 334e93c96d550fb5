//! The store as the read routes meet it: behind a circuit breaker, with answers kept for a while.
//!
//! An answer is kept as the bytes that were sent. While it is fresh it answers the same question again; later, and when the
//! store is out, it answers marked as stale (`Cache-Status`, RFC 9211, with a `ttl` below zero). Callers that ask the same at
//! the same time share one question to the store. Events that come late end the freshness of what was answered before.

mod error;
mod follow;
mod freshness;
mod kept;
mod late;
mod metrics;
mod shared;
#[cfg(test)]
mod tests;

pub(crate) use error::ReadError;
pub(crate) use freshness::Freshness;
pub(crate) use kept::Key;

use crate::redis::Redis;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use follow::Follower;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use kept::{Entry, Kept};
use late::Verdict;
use metrics::{Metrics, Outcome};
use prometheus_client::registry::Registry;
use resilience::{BreakerConfig, Breakers, CallError, Outcome as Call, SharedBreaker};
use serde::Serialize;
use shared::Shared as SharedAnswers;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use store::{LateEvents, QueryError};
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
    late: Follower,
    /// And when each was asked.
    flights: Mutex<HashMap<Key, (Instant, WeakShared<Asking>)>>,
    metrics: Metrics,
}

impl Reads {
    /// Nothing kept yet but what other gateways keep in `redis`; the breaker is shown as `store-reads`. Needs a runtime.
    pub fn new(
        config: CacheConfig,
        late: Box<dyn LateEvents>,
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
        let (shared, late) = (SharedAnswers(redis), Follower::start(late, registry));
        Reads(Arc::new(Inner { config, breaker, kept, shared, late, flights: Mutex::default(), metrics }))
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
        let (inner, asked) = (&self.0, Instant::now());
        let kept = inner.kept.get(&key);
        if let Some(entry) = kept.as_ref().filter(|entry| inner.is_fresh(&key, freshness, entry)) {
            inner.metrics.count(Outcome::Hit);
            return Ok(inner.kept_answer(&key, freshness, entry));
        }
        let made = Arc::clone(inner).bring(key.clone(), freshness, make).boxed();
        let (flight, is_first) = match freshness.of(&inner.config).is_zero() {
            // Who wants it as it is now gets no answer that was asked for earlier.
            true => (made.shared(), true),
            false => self.join(&key, made, asked),
        };
        match flown(flight, kept.is_some()).await {
            Ok(Brought { entry, source }) => {
                inner.metrics.count(match source {
                    _ if !is_first => Outcome::Joined,
                    Source::Store => Outcome::Miss,
                    Source::OtherGateway if inner.is_fresh(&key, freshness, &entry) => Outcome::Shared,
                    Source::OtherGateway => Outcome::Stale,
                });
                Ok(match source {
                    Source::Store => entry.just_made(),
                    Source::OtherGateway => inner.kept_answer(&key, freshness, &entry),
                })
            }
            Err(error @ (ReadError::NotFound(_) | ReadError::Question(_))) => Err(error),
            Err(error) => match kept {
                Some(entry) => {
                    inner.metrics.count(Outcome::Stale);
                    Ok(inner.kept_answer(&key, freshness, &entry))
                }
                None => {
                    inner.metrics.count(Outcome::Error);
                    Err(error)
                }
            },
        }
    }

    /// The question under way for the key, or this one, and whether it is this one. One that was asked before something
    /// came late is not joined. It is given up when nobody waits for it any more.
    fn join(&self, key: &Key, made: Asking, asked: Instant) -> (Flight, bool) {
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((began, flight)) = flights.get(key)
            && self.0.late.verdict(key.organization.as_ref(), *began) != Verdict::Outdated
            && let Some(flight) = flight.upgrade().filter(|flight| flight.peek().is_none())
        {
            return (flight, false);
        }
        // Whatever has ended goes, so that there are never more than are under way.
        flights.retain(|_, (_, flight)| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        let flight = made.shared();
        flights.insert(key.clone(), (asked, flight.downgrade().expect("it was not polled yet")));
        (flight, true)
    }
}

impl Inner {
    /// How long an answer is fresh, from when it was made.
    fn fresh_for(&self, key: &Key, freshness: Freshness, entry: &Entry) -> Duration {
        let CacheConfig { present, past, .. } = self.config;
        match freshness {
            Freshness::Now => Duration::ZERO,
            Freshness::Present => present,
            Freshness::Past { over_for } => match self.late.verdict(key.organization.as_ref(), entry.asked) {
                Verdict::Outdated => Duration::ZERO,
                // Its time was not over yet when it was asked for: what came since then was not late.
                Verdict::Holds if entry.asked.elapsed() < over_for => past,
                Verdict::Holds | Verdict::Unknown => present.min(past),
            },
        }
    }

    fn is_fresh(&self, key: &Key, freshness: Freshness, entry: &Entry) -> bool {
        entry.age(Instant::now()) < self.fresh_for(key, freshness, entry)
    }

    fn kept_answer(&self, key: &Key, freshness: Freshness, entry: &Entry) -> Answer {
        entry.answer(self.fresh_for(key, freshness, entry), Instant::now())
    }

    /// Another gateway's answer while it is fresh, else the store's, else the other's nevertheless. What comes is kept before
    /// anybody hears of it, so that nobody asks in between.
    async fn bring<T: Serialize + Send + 'static>(
        self: Arc<Self>,
        key: Key,
        freshness: Freshness,
        make: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Brought, ReadError> {
        let longest = freshness.of(&self.config);
        let others = if longest.is_zero() { None } else { self.shared.get(&key).await };
        if let Some(entry) = others.clone().filter(|entry| self.is_fresh(&key, freshness, entry)) {
            return Ok(self.keep_of_others(key, entry));
        }
        let asked = Instant::now();
        match make.await {
            Ok(value) => {
                let entry = Entry { body: json(&value), asked, made: Instant::now() };
                self.shared.keep(&key, &entry, longest + self.config.stale);
                self.kept.keep(key, entry.clone());
                Ok(Brought { entry, source: Source::Store })
            }
            Err(error @ (ReadError::NotFound(_) | ReadError::Question(_))) => Err(error),
            Err(error) => {
                let others = if longest.is_zero() { self.shared.get(&key).await } else { others };
                others.map(|entry| self.keep_of_others(key, entry)).ok_or(error)
            }
        }
    }

    fn keep_of_others(&self, key: Key, entry: Entry) -> Brought {
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
