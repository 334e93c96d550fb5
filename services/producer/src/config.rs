//! The settings of `logpipeline-producer`.

use crate::api;
use handoff::Key;
use process::body::BodyLimits;
use settings::Settings;
use std::net::SocketAddr;

/// A producer as a process of its own.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the API.
    pub listen: SocketAddr,
    /// The topic that events go to.
    pub kafka: topic::kafka::Config,
    /// The key of the gateway, whose requests alone are taken.
    pub gateway_key: Key,
    /// Limits of requests.
    pub api: api::Config,
}

impl Config {
    /// Reads it from the environment's variables.
    pub fn read(settings: &mut Settings) -> Config {
        let defaults = BodyLimits::default();
        let kafka = topic::kafka::Config::read(settings);
        Config {
            listen: settings.value("LOGPIPELINE_LISTEN", "Address of the API", "0.0.0.0:8080"),
            gateway_key: Key::new(settings.required_key(
                "LOGPIPELINE_GATEWAY_KEY",
                "Key of at least 32 bytes that the gateway signs with whose a request is; others are refused",
                handoff::KEY_BYTES,
            ).as_bytes()),
            api: api::Config {
                body: BodyLimits {
                    wire_bytes: size(
                        settings,
                        "LOGPIPELINE_REQUEST_BYTES",
                        "Bytes of a request's body",
                        "10Mi",
                    ),
                    decoded_bytes: size(
                        settings,
                        "LOGPIPELINE_REQUEST_DECODED_BYTES",
                        "Bytes of a request's body when it is decompressed",
                        "32Mi",
                    ),
                    ..defaults
                },
                body_budget_bytes: size(
                    settings,
                    "LOGPIPELINE_REQUESTS_MEMORY",
                    "Bytes of bodies held at one time, over all requests; beyond it requests are answered 503",
                    "64Mi",
                ),
                events: settings.within(
                    "LOGPIPELINE_REQUEST_EVENTS",
                    "Events a request may have",
                    "10000",
                    1..=1_000_000,
                ),
                ack_timeout: settings.duration(
                    "LOGPIPELINE_ACK_TIMEOUT",
                    "How long Kafka may take to acknowledge a request's events",
                    "30s",
                ),
                topic: kafka.topic.clone(),
            },
            kafka,
        }
    }
}

fn size(settings: &mut Settings, name: &str, help: &'static str, default: &str) -> usize {
    usize::try_from(settings.bytes(name, help, default)).unwrap_or(usize::MAX)
}
