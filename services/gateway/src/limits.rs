//! How much an organisation may write and read: limits in a file, buckets in Redis, and a local bucket of each gateway
//! for when Redis does not answer in time.
//!
//! A write costs its events, a read one request. A write is passed on unread, so an estimate is taken first and the
//! difference settled when the producer has answered; the bucket can be in debt then.

mod answer;
mod config;
mod extract;
mod file;
mod local;
mod metrics;
mod reload;
mod route;
mod settle;
mod shared;
mod show;

pub use config::{Config, WithoutRedis};
pub(crate) use extract::Limited;
pub use file::{FileError, Limits};
pub use reload::Source;
pub(crate) use route::limits;
pub use shared::{Act, Shared};
pub(crate) use show::ShowLimits;

use crate::{auth::Organizations, redis::Redis};
use local::Local;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use resilience::{Level, Limit};
use settle::Settler;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What is limited by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// In events.
    Write,
    /// In requests.
    Read,
}

impl Kind {
    /// The name in files, headers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Write => "write",
            Kind::Read => "read",
        }
    }
}

/// Whose buckets: an organisation's, or those of all tokens for any (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Those of a token.
    pub fn of(organizations: &Organizations) -> Name {
        Name(organizations.as_str().into())
    }

    /// The name in keys and files.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_any(&self) -> bool {
        *self.0 == *"*"
    }
}

/// How a bucket stands after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit of the organisation.
    pub limit: Limit,
    /// Tokens that are left.
    pub remaining: u32,
    /// How long until what was asked for would be allowed; after it was, how long until there is a token more, zero
    /// when the bucket is full.
    pub wait: Duration,
    /// Who decided: `redis` or `local`.
    pub by: &'static str,
}

impl Standing {
    /// `held` is the limit of the bucket, `limit` the organisation's.
    fn new(by: &'static str, limit: Limit, held: Limit, level: Level, refused: Option<u32>) -> Standing {
        let remaining = level.remaining();
        let wait = level.wait(held, refused.unwrap_or(remaining.saturating_add(1)));
        Standing { limit, remaining, wait, by }
    }
}

/// What is decided of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// There is no limit, or nobody could say and none is to be kept then.
    Unlimited,
    /// It may go on.
    Allowed(Standing),
    /// It may not, now.
    Limited(Standing),
    /// Nobody could say, and then nothing is allowed.
    Closed,
}

/// Decides; clones share everything.
#[derive(Debug, Clone)]
pub struct Limiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: watch::Receiver<Arc<Limits>>,
    shared: Option<Shared>,
    local: Arc<Local>,
    deadline: Duration,
    without_redis: WithoutRedis,
    gateways: u32,
    settler: Option<Settler>,
    metrics: Metrics,
    since: Instant,
}

impl Limiter {
    /// One that asks this Redis, or decides alone without one. Needs a runtime when there is a file or a Redis.
    pub fn new(config: Config, redis: Option<Redis>, registry: &mut Registry) -> Limiter {
        let local = Arc::new(Local::new());
        let metrics = Metrics::register(registry, Arc::clone(&local));
        let limits = config.source.follow(metrics.clone());
        let shared = redis.map(Shared::new);
        let settler = shared.clone().map(|shared| Settler::start(shared, limits.clone(), metrics.clone()));
        let Config { deadline, without_redis, gateways, .. } = config;
        let since = Instant::now();
        let inner =
            Inner { limits, shared, local, deadline, without_redis, gateways, settler, metrics, since };
        Limiter { inner: Arc::new(inner) }
    }

    /// Takes so many tokens, if they are there.
    pub async fn take(&self, name: &Name, kind: Kind, cost: u32) -> Ruling {
        let inner = &*self.inner;
        let Some(limit) = self.limit(name, kind) else { return Ruling::Unlimited };
        let (held, by, taken, level) = match self.ask(name, kind, limit, Act::Take(cost)).await {
            Some((taken, level)) => (limit, "redis", taken, level),
            None => match self.otherwise() {
                WithoutRedis::Local => {
                    let share = limit.share(inner.gateways);
                    let (taken, level) = inner.local.take(name, kind, share, self.now(), cost);
                    (share, "local", taken, level)
                }
                WithoutRedis::Open => {
                    inner.metrics.decided(kind, "open", true);
                    return Ruling::Unlimited;
                }
                WithoutRedis::Closed => {
                    inner.metrics.decided(kind, "closed", false);
                    return Ruling::Closed;
                }
            },
        };
        inner.metrics.decided(kind, by, taken);
        let standing = Standing::new(by, limit, held, level, (!taken).then_some(cost));
        if taken { Ruling::Allowed(standing) } else { Ruling::Limited(standing) }
    }

    /// What was taken was too little by this, or too much when it is negative. Returns at once.
    pub fn settle(&self, name: &Name, kind: Kind, more: i64) {
        let inner = &*self.inner;
        let Some(limit) = self.limit(name, kind).filter(|_| more != 0) else { return };
        inner.local.settle(name, kind, limit.share(inner.gateways), self.now(), more);
        if let Some(settler) = &inner.settler {
            settler.settle(name.clone(), kind, more);
        }
    }

    /// How a bucket stands, and takes nothing; `None` when there is no limit.
    pub async fn look(&self, name: &Name, kind: Kind) -> Option<Standing> {
        let inner = &*self.inner;
        let limit = self.limit(name, kind)?;
        Some(match self.ask(name, kind, limit, Act::Look).await {
            Some((_, level)) => Standing::new("redis", limit, limit, level, None),
            None => {
                let share = limit.share(inner.gateways);
                let level = inner.local.look(name, kind, share, self.now());
                Standing::new("local", limit, share, level, None)
            }
        })
    }

    /// How many events a body of so many bytes probably has, at least 1; `None`: it is not known how many.
    pub fn estimate(&self, name: &Name, bytes: Option<u64>) -> u32 {
        self.inner.local.estimate(name, bytes)
    }

    /// A body of so many bytes had so many events.
    pub fn learn(&self, name: &Name, bytes: u64, events: u32) {
        self.inner.local.learn(name, bytes, events);
    }

    fn limit(&self, name: &Name, kind: Kind) -> Option<Limit> {
        self.inner.limits.borrow().of(name, kind)
    }

    /// What Redis says, in time; the local bucket becomes as full.
    async fn ask(&self, name: &Name, kind: Kind, limit: Limit, act: Act) -> Option<(bool, Level)> {
        let inner = &*self.inner;
        let answer = inner.shared.as_ref()?.act((name, kind), limit, act, inner.deadline, None).await;
        match answer {
            Ok((taken, level)) => {
                let (share, level_here) = (limit.share(inner.gateways), level.share(inner.gateways));
                inner.local.mirror(name, kind, share, self.now(), level_here);
                Some((taken, level))
            }
            Err(error) => {
                tracing::debug!(%error, "a rate limit was not decided by Redis");
                None
            }
        }
    }

    /// Who decides when Redis does not. Without one the local buckets are the limit.
    fn otherwise(&self) -> WithoutRedis {
        if self.inner.shared.is_some() { self.inner.without_redis } else { WithoutRedis::Local }
    }

    /// Microseconds since it was made.
    fn now(&self) -> u64 {
        u64::try_from(self.inner.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
