//! Answers kept in Redis: gateways share them, and one that starts while the store is out has some.

use super::kept::{Entry, Key};
use crate::redis::Redis;
use axum::body::Bytes;
use redis::cmd;
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    time::{Duration, Instant, SystemTime},
};

/// Redis is asked on the way to the store, so it may cost little.
const DEADLINE: Duration = Duration::from_millis(5);
/// An answer that is larger is not shared.
const ENTRY_BYTES: usize = 64 << 10;
/// Bytes in front of an answer: when it was asked for and when it was made, in milliseconds since 1970.
const TIMES_BYTES: usize = 16;
/// How far the clocks of gateways may differ: an answer counts as asked for so much earlier.
const CLOCKS: Duration = Duration::from_secs(2);
/// Rises when answers change their form, so that versions of the gateway do not mix.
const VERSION: u32 = 2;

/// The answers of all gateways; none without Redis.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Option<Redis>);

impl Shared {
    /// The answer, with its times by this machine's clock. Nothing when Redis does not say so in time.
    pub(super) async fn get(&self, key: &Key) -> Option<Entry> {
        let get = cmd("GET").arg(name(key)).to_owned();
        let asked = self.0.as_ref()?.call(DEADLINE, async |mut redis| get.query_async(&mut redis).await);
        let value: Option<Vec<u8>> = asked.await.ok()?;
        let value = Bytes::from(value?);
        let (asked, made) = value.get(..TIMES_BYTES)?.split_at(TIMES_BYTES / 2);
        let (now, wall) = (Instant::now(), wall());
        let at = |time: &[u8], earlier| {
            let age = wall.saturating_sub(u64::from_be_bytes(time.try_into().ok()?));
            now.checked_sub(Duration::from_millis(age) + earlier)
        };
        let (asked, made) = (at(asked, CLOCKS)?, at(made, Duration::ZERO)?);
        Some(Entry { body: value.slice(TIMES_BYTES..), asked, made })
    }

    /// Keeps an answer for so long; in the background, since nobody waits for it.
    pub(super) fn keep(&self, key: &Key, entry: &Entry, keep_for: Duration) {
        let Some(redis) = self.0.clone().filter(|_| entry.body.len() <= ENTRY_BYTES) else { return };
        let (now, wall) = (Instant::now(), wall());
        let at = |time| wall.saturating_sub(milliseconds(now.saturating_duration_since(time))).to_be_bytes();
        let value = [&at(entry.asked)[..], &at(entry.made), &entry.body].concat();
        let set =
            cmd("SET").arg(name(key)).arg(value).arg("PX").arg(milliseconds(keep_for).max(1)).to_owned();
        tokio::spawn(async move {
            // Whoever asks next makes it again.
            redis.call::<(), _>(DEADLINE, async |mut redis| set.query_async(&mut redis).await).await.ok();
        });
    }
}

/// The organisation stands in it as it is: another's question never has the same name, whatever it says.
fn name(key: &Key) -> String {
    let organization = key.organization.as_ref().map_or("*", |organization| organization.as_str());
    let digest =
        Sha256::new().chain_update(key.route).chain_update([0]).chain_update(&key.question).finalize();
    let mut name = format!("logpipeline:answer:{VERSION}:{organization}:");
    for byte in digest {
        write!(name, "{byte:02x}").expect("a text takes all");
    }
    name
}

/// This machine's clock.
fn wall() -> u64 {
    milliseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_questions_have_one_name() {
        let key = |organization: Option<&str>, route, question: &str| {
            let organization = organization.map(|name| name.parse().unwrap());
            name(&Key { organization, route, question: question.into() })
        };
        let names = [
            key(Some("acme"), "logs", "q"),
            key(Some("acme:x"), "logs", "q"),
            key(None, "logs", "q"),
            key(Some("acme"), "log", "sq"),
            key(Some("acme"), "logs", "q2"),
        ];
        let different: std::collections::HashSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(names[0].starts_with("logpipeline:answer:2:acme:"));
    }
}
