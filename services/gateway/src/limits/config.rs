//! The settings of the limits.

use super::Source;
use std::{str::FromStr, time::Duration};

/// What holds when Redis does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutRedis {
    /// This gateway's share of the limit, by its own buckets.
    Local,
    /// Nothing is limited.
    Open,
    /// Whatever has a limit is refused.
    Closed,
}

impl FromStr for WithoutRedis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<WithoutRedis, &'static str> {
        match text {
            "local" => Ok(WithoutRedis::Local),
            "open" => Ok(WithoutRedis::Open),
            "closed" => Ok(WithoutRedis::Closed),
            _ => Err("use local, open or closed"),
        }
    }
}

/// How limits are kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the limits come from.
    pub source: Source,
    /// How long Redis may take to decide.
    pub deadline: Duration,
    /// What holds when it takes longer.
    pub without_redis: WithoutRedis,
    /// Gateways that share the limits, 1 or more: the local bucket of each has its part.
    pub gateways: u32,
}

/// No limits.
impl Default for Config {
    fn default() -> Config {
        Config {
            source: Source::none(),
            deadline: Duration::from_millis(5),
            without_redis: WithoutRedis::Local,
            gateways: 1,
        }
    }
}

#[cfg(feature = "service")]
impl Config {
    /// Reads it from the environment's variables.
    pub fn read(settings: &mut settings::Settings) -> Config {
        let source = settings.optional_parsed(
            "LOGPIPELINE_RATE_LIMITS_FILE",
            "JSON file of limits, read again when it changes; none when not set",
            |path| Source::file(path.into()).map_err(|error| error.to_string()),
        );
        Config {
            source: source.unwrap_or_else(Source::none),
            deadline: settings.duration_within(
                "LOGPIPELINE_RATE_LIMITS_DEADLINE",
                "How long Redis may take to decide",
                "5ms",
                Duration::from_millis(1)..=Duration::from_secs(1),
            ),
            without_redis: settings.value(
                "LOGPIPELINE_RATE_LIMITS_WITHOUT_REDIS",
                "What holds when Redis does not answer in time: local (this gateway's share), open or closed",
                "local",
            ),
            gateways: settings.within(
                "LOGPIPELINE_GATEWAY_REPLICAS",
                "Gateways that share the limits: each keeps its part when Redis does not answer",
                "1",
                1..=10_000,
            ),
        }
    }
}
