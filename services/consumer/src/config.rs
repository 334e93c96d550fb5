//! The settings of `logpipeline-consumer`.

use crate::{batch::Limits, consume};
use settings::Settings;
use std::time::Duration;

/// A consumer as a process of its own.
#[derive(Debug, Clone)]
pub struct Config {
    /// The topic that events come from.
    pub kafka: topic::kafka::Config,
    /// Group of the consumers that share it.
    pub group: String,
    /// The topic that dead letters go to.
    pub dead_letter_topic: String,
    /// The store that events go to.
    pub postgres: store::postgres::Config,
    /// How it works.
    pub consume: consume::Config,
}

impl Config {
    /// Reads it from the environment's variables.
    pub fn read(settings: &mut Settings) -> Config {
        let kafka = topic::kafka::Config::read(settings);
        let dead_letters: Option<String> = settings.optional(
            "LOGPIPELINE_KAFKA_DEAD_LETTER_TOPIC",
            "Topic of dead letters; the topic's name with -dlq when not set",
        );
        Config {
            group: settings.value(
                "LOGPIPELINE_KAFKA_GROUP",
                "Group of the consumers that share the topic",
                "logpipeline-consumer",
            ),
            dead_letter_topic: dead_letters.unwrap_or_else(|| format!("{}-dlq", kafka.topic)),
            postgres: store::postgres::Config::read(settings),
            consume: consume_config(settings, kafka.topic.clone()),
            kafka,
        }
    }
}

fn consume_config(settings: &mut Settings, topic: String) -> consume::Config {
    consume::Config {
        batch: Limits {
            records: settings.within(
                "LOGPIPELINE_BATCH_RECORDS",
                "Records that a transaction stores at most",
                "5000",
                1..=100_000,
            ),
            bytes: size(
                settings,
                "LOGPIPELINE_BATCH_BYTES",
                "Bytes of records that a transaction stores",
                "4Mi",
            ),
            linger: settings.duration(
                "LOGPIPELINE_BATCH_LINGER",
                "How long a record waits for others",
                "50ms",
            ),
        },
        partition_bytes: size(
            settings,
            "LOGPIPELINE_PARTITION_MEMORY",
            "Bytes of a partition's records in memory; beyond them it is not read on",
            "4Mi",
        ),
        retry_delays: settings.parsed(
            "LOGPIPELINE_RETRY_DELAYS",
            "Waits between the tries of a broken record; after the last it is a dead letter",
            "1s,2s,4s",
            delays,
        ),
        outage_cap: settings.duration_within(
            "LOGPIPELINE_OUTAGE_RETRY",
            "Longest wait between two tries while the database is out",
            "5s",
            Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60),
        ),
        let_go: settings.duration(
            "LOGPIPELINE_LET_GO",
            "How long a transaction may go on when its partition goes to another consumer, and at the end",
            "10s",
        ),
        topic,
    }
}

fn delays(text: &str) -> Result<Vec<Duration>, String> {
    let delay = |text: &str| humantime::parse_duration(text.trim()).map_err(|error| error.to_string());
    text.split(',').map(delay).collect()
}

fn size(settings: &mut Settings, name: &str, help: &'static str, default: &str) -> usize {
    usize::try_from(settings.bytes(name, help, default)).unwrap_or(usize::MAX)
}
