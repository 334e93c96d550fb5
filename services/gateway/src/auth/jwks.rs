//! The keys that an issuer publishes: fetched in the background, kept, and fetched once more, for all who wait, when a
//! token names a key that is not known.

mod document;
mod fetch;
mod schedule;

use super::{
    config::JwksConfig,
    error::AuthError,
    metrics::{Fetches, KeySetGauges},
    verifier::{Rules, Verifier},
};
use document::KeySet;
pub(super) use fetch::causes;
use fetch::{FetchError, Fetched, Fetcher};
use jsonwebtoken::Algorithm;
use prometheus_client::registry::Registry;
use schedule::{Asked, Schedule};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Requests that may wait for a fetch at one time; more are sent away.
const WAITING: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// The keys of an issuer; clones share them.
#[derive(Clone)]
pub(super) struct Jwks(Arc<Shared>);

struct Shared {
    fetcher: Fetcher,
    rules: Rules,
    state: Mutex<State>,
    /// A fetch is wanted before its time.
    wanted: Notify,
    /// Fetches that have ended.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
    fetches: Fetches,
}

struct State {
    schedule: Schedule,
    keys: Arc<KeySet>,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").finish_non_exhaustive()
    }
}

impl Jwks {
    /// Fetches the keys from now on until `stop`.
    pub(super) fn open(
        config: JwksConfig,
        rules: Rules,
        registry: &mut Registry,
        stop: CancellationToken,
    ) -> Result<Jwks, reqwest::Error> {
        let schedule = Schedule::new(&config, Instant::now().into_std());
        let jwks = Jwks(Arc::new(Shared {
            fetcher: Fetcher::new(config.url, config.authorities, config.deadline)?,
            rules,
            state: Mutex::new(State { schedule, keys: Arc::default() }),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(WAITING),
            fetches: Fetches::default(),
        }));
        jwks.0.fetches.register(registry);
        registry.register_collector(Box::new(KeySetGauges(jwks.clone())));
        tokio::spawn(keep_fresh(jwks.clone(), stop));
        Ok(jwks)
    }

    /// The keys, as long as they may be believed.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let state = self.state();
        state.schedule.is_usable(Instant::now().into_std()).then(|| Arc::clone(&state.keys))
    }

    /// Number of keys that may be believed, and time since they were fetched.
    #[allow(clippy::cast_precision_loss, reason = "there are few keys")]
    pub(super) fn known(&self) -> (f64, Option<Duration>) {
        let count = self.current().map_or(0, |keys| keys.len());
        (count as f64, self.state().schedule.age(Instant::now().into_std()))
    }

    /// The key for a token, and the generation of keys it is of.
    pub(super) async fn verifier(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(u64, Verifier), AuthError> {
        let mut waited = false;
        loop {
            let current = self.current();
            let found = current.as_ref().map(|keys| (keys.generation, keys.find(kid, algorithm)));
            if let Some((generation, Some(verifier))) = found {
                return Ok((generation, verifier.clone()));
            }
            // A key that is not known may be new, or the first keys are on their way.
            if waited || !self.fetched_anew().await? {
                return Err(self.missing(current.is_some()));
            }
            waited = true;
        }
    }

    /// Whether a fetch has ended that was still running or could begin.
    async fn fetched_anew(&self) -> Result<bool, AuthError> {
        let mut ended = {
            let mut state = self.state();
            match state.schedule.ask(Instant::now().into_std()) {
                Asked::TooSoon => return Ok(false),
                Asked::Running => {}
                Asked::Begins => self.0.wanted.notify_one(),
            }
            self.0.ended.subscribe()
        };
        let _waiting = self.0.waiting.try_acquire().map_err(|_| AuthError::NoKeys)?;
        // A fetch has a deadline of its own; when the process stops there is none any more.
        let _ = tokio::time::timeout(self.0.fetcher.deadline() + SECOND, ended.changed()).await;
        Ok(true)
    }

    /// A key that could not be looked for is no proof against the token.
    fn missing(&self, known: bool) -> AuthError {
        if known && !self.state().schedule.has_failed() { AuthError::UnknownKey } else { AuthError::NoKeys }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, fetched: Result<Fetched, FetchError>) {
        let keys = fetched.and_then(|fetched| {
            let keys = KeySet::parse(&fetched.body, &self.0.rules).map_err(FetchError::Document)?;
            Ok((keys, fetched.max_age))
        });
        let now = Instant::now().into_std();
        let mut state = self.state();
        match keys {
            Ok((keys, max_age)) => {
                self.0.fetches.count("ok");
                state.schedule.succeeded(now, max_age);
                if let Some(changed) = keys.after(&state.keys) {
                    tracing::info!(keys = changed.len(), url = %self.0.fetcher.url(), "keys of the issuer");
                    state.keys = Arc::new(changed);
                }
            }
            Err(error) => {
                self.0.fetches.count(error.outcome());
                state.schedule.failed(now, jitter());
                let age = state.schedule.age(now).map(|age| age.as_secs());
                let usable = state.schedule.is_usable(now);
                let url = self.0.fetcher.url();
                tracing::warn!(%error, %url, age_seconds = age, usable, "the issuer's keys cannot be fetched; trying again");
            }
        }
        // Within the lock: who asks from now on does not take this end for that of a later fetch.
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

/// Fetches the keys whenever it is time.
async fn keep_fresh(jwks: Jwks, stop: CancellationToken) {
    loop {
        let next = jwks.state().schedule.next();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next.into()) => {}
            () = jwks.0.wanted.notified() => continue,
        }
        jwks.state().schedule.begin(Instant::now().into_std());
        let fetched = tokio::select! {
            () = stop.cancelled() => return,
            fetched = jwks.0.fetcher.fetch() => fetched,
        };
        jwks.settle(fetched);
    }
}

fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
