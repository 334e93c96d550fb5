//! The buckets in Redis, which all gateways share: each decision is one call on one key.

use super::{Kind, Name};
use crate::redis::{Redis, Unavailable};
use redis::Script;
use resilience::{Level, Limit};
use std::{sync::Arc, time::Duration};

/// What is done to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Takes so many tokens if they are there.
    Take(u32),
    /// Takes so many more, or gives back, whatever is there.
    Settle(i64),
    /// Changes nothing.
    Look,
}

/// All buckets of a Redis.
#[derive(Debug, Clone)]
pub struct Shared {
    redis: Redis,
    script: Arc<Script>,
}

impl Shared {
    /// Those of this one.
    pub fn new(redis: Redis) -> Shared {
        Shared { redis, script: Arc::new(Script::new(include_str!("bucket.lua"))) }
    }

    /// Whether it was taken, and how full the bucket is now. The time is Redis's own; only tests give another, in
    /// microseconds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn act(
        &self,
        (name, kind): (&Name, Kind),
        limit: Limit,
        act: Act,
        deadline: Duration,
        now: Option<u64>,
    ) -> Result<(bool, Level), Unavailable> {
        let most = i64::from(Limit::MOST);
        let (cost, word) = match act {
            Act::Take(cost) => (i64::from(cost).min(most), "take"),
            Act::Settle(more) => (more.clamp(-most, most), "settle"),
            Act::Look => (0, "look"),
        };
        // The braces keep an organisation's keys on one node of a cluster.
        let mut call = self.script.key(format!("logpipeline:limit:{{{}}}:{}", name.as_str(), kind.name()));
        call.arg(limit.per_second()).arg(limit.burst()).arg(cost).arg(word);
        if let Some(now) = now {
            call.arg(now);
        }
        let answer: (i64, i64) = self
            .redis
            .call(deadline, async |mut connection| call.invoke_async(&mut connection).await)
            .await?;
        Ok((answer.0 == 1, Level(answer.1)))
    }
}
