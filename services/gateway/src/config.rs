//! The settings of `logpipeline-gateway`.

use crate::{CacheConfig, Protocol, TailLimits, WriteLimits, auth, limits, redis::Address};
use settings::Settings;
use std::{net::SocketAddr, time::Duration};

/// Longest time that an answer is kept.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// A gateway as a process of its own.
#[derive(Clone)]
pub struct Config {
    /// Address of the API and the web page.
    pub listen: SocketAddr,
    /// What tokens are judged by.
    pub auth: auth::Config,
    /// Key that tells the producers whose a request is.
    pub gateway_key: handoff::Key,
    /// Address of the producers.
    pub producer: http::Uri,
    /// What the producers speak.
    pub producer_protocol: Protocol,
    /// Address of the consumers' admin servers.
    pub consumer: http::Uri,
    /// How answers are kept.
    pub cache: CacheConfig,
    /// How many clients may look on.
    pub tails: TailLimits,
    /// How many writes may be under way.
    pub writes: WriteLimits,
    /// The topic, for lag and live tail.
    pub kafka: topic::kafka::Config,
    /// The store that answers reads.
    pub postgres: store::postgres::Config,
    /// What all gateways share; without it each limits and caches alone.
    pub redis: Option<Address>,
    /// How much organisations may write and read.
    pub limits: limits::Config,
}

impl Config {
    /// Reads it from the environment's variables.
    pub fn read(settings: &mut Settings) -> Config {
        Config {
            listen: settings.value(
                "LOGPIPELINE_LISTEN",
                "Address of the API and the web page",
                "0.0.0.0:8080",
            ),
            auth: auth::Config::read(settings),
            gateway_key: handoff::Key::new(settings.required_key(
                "LOGPIPELINE_GATEWAY_KEY",
                "Key of at least 32 bytes that tells the producers whose a request is; the same as theirs",
                handoff::KEY_BYTES,
            ).as_bytes()),
            producer: settings.parsed(
                "LOGPIPELINE_PRODUCER_URL",
                "Address of the producers",
                "http://logpipeline-producer:8080",
                base,
            ),
            producer_protocol: settings.value(
                "LOGPIPELINE_PRODUCER_PROTOCOL",
                "What the producers are spoken to in, http/1.1 or h2c (HTTP/2 without TLS)",
                "http/1.1",
            ),
            consumer: settings.parsed(
                "LOGPIPELINE_CONSUMER_URL",
                "Address of the consumers' admin servers",
                "http://logpipeline-consumer:9090",
                base,
            ),
            cache: cache(settings),
            tails: tails(settings),
            writes: writes(settings),
            kafka: topic::kafka::Config::read(settings),
            postgres: store::postgres::Config::read(settings),
            redis: redis(settings),
            limits: limits::Config::read(settings),
        }
    }
}

/// The address can hold a password: a mistake does not show it.
fn redis(settings: &mut Settings) -> Option<Address> {
    let text = settings.secret(
        "LOGPIPELINE_REDIS_URL",
        "Redis that all gateways share: redis://:password@host:6379, rediss:// for TLS, \
         redis+cluster://host1:6379,host2:6379 for a cluster; without it each limits and caches alone",
    );
    let authorities = settings.optional_parsed(
        "LOGPIPELINE_REDIS_CA",
        "File of authorities to trust, PEM; else the system's",
        |path| std::fs::read(path).map_err(|error| error.to_string()),
    );
    match (text?.parse::<Address>(), authorities) {
        (Ok(address), Some(_)) if !address.is_encrypted() => {
            settings
                .mistake("LOGPIPELINE_REDIS_CA is set, and LOGPIPELINE_REDIS_URL does not begin with rediss");
            None
        }
        (Ok(address), Some(authorities)) => Some(address.trusting(authorities)),
        (Ok(address), None) => Some(address),
        (Err(error), _) => {
            settings.mistake(format!("LOGPIPELINE_REDIS_URL: {error}"));
            None
        }
    }
}

fn cache(settings: &mut Settings) -> CacheConfig {
    CacheConfig {
        bytes: settings.bytes("LOGPIPELINE_CACHE_MEMORY", "Bytes of answers kept in memory", "64Mi"),
        present: settings.duration_within(
            "LOGPIPELINE_CACHE_PRESENT",
            "How long an answer about the last minutes is given again; 0s asks the store every time",
            "1s",
            Duration::ZERO..=A_DAY,
        ),
        past: settings.duration_within(
            "LOGPIPELINE_CACHE_PAST",
            "How long an answer about what is more than five minutes old is given again",
            "60s",
            Duration::ZERO..=A_DAY,
        ),
        stale: settings.duration_within(
            "LOGPIPELINE_CACHE_STALE",
            "How long after that an answer is kept for the time when the store is out",
            "15m",
            Duration::ZERO..=A_DAY,
        ),
    }
}

fn tails(settings: &mut Settings) -> TailLimits {
    TailLimits {
        all: settings.within(
            "LOGPIPELINE_TAILS",
            "Live tails at one time; more are answered 503",
            "20000",
            1..=1_000_000,
        ),
        each: settings.within(
            "LOGPIPELINE_ORGANIZATION_TAILS",
            "Live tails of one organisation at one time; more are answered 503",
            "1000",
            1..=1_000_000,
        ),
    }
}

fn writes(settings: &mut Settings) -> WriteLimits {
    WriteLimits {
        all: settings.within(
            "LOGPIPELINE_WRITES",
            "Writes under way at one time; more are answered 503",
            "1024",
            1..=100_000,
        ),
        each: settings.within(
            "LOGPIPELINE_ORGANIZATION_WRITES",
            "Writes of one organisation under way at one time; more are answered 503",
            "512",
            1..=100_000,
        ),
    }
}

/// `http://host[:port]`, nothing behind it.
fn base(text: &str) -> Result<http::Uri, String> {
    let uri: http::Uri = text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let bare = uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.path() == "/";
    if bare && uri.query().is_none() { Ok(uri) } else { Err("write it like http://host:8080".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_service_is_bare() {
        assert!(base("http://producer:8080").is_ok() && base("http://producer/").is_ok());
        for text in ["producer:8080", "https://producer", "http://producer/api", "http://p?x", ""] {
            assert!(base(text).is_err(), "{text}");
        }
    }
}
