//! The configuration in librdkafka's words.

use super::config::{Config, GroupProtocol, ReaderConfig, Sasl, Secret, Security, Tls, WriterConfig};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::time::Duration;

/// After this a broker that does not answer counts as gone, and another one is asked.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How often partitions and leaders are looked up although nothing failed.
const REFRESH_METADATA: Duration = Duration::from_secs(10);
const STATISTICS: Duration = Duration::from_secs(5);

impl Config {
    /// What clients of every kind have in common.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Info);
        client.set("bootstrap.servers", &self.bootstrap_servers);
        client.set("client.id", &self.client_id);
        client.set("socket.timeout.ms", millis(BROKER_ANSWERS_WITHIN));
        client.set("socket.connection.setup.timeout.ms", millis(BROKER_ANSWERS_WITHIN));
        client.set("socket.nagle.disable", "true");
        client.set("socket.keepalive.enable", "true");
        client.set("reconnect.backoff.max.ms", "2000");
        client.set("topic.metadata.refresh.interval.ms", millis(REFRESH_METADATA));
        client.set("allow.auto.create.topics", "false");
        self.security.apply(&mut client);
        client
    }

    /// An idempotent producer that keeps the order of each partition.
    pub(super) fn producer(&self) -> ClientConfig {
        let WriterConfig { queue_bytes, max_record_bytes, linger, acknowledged_within, .. } = self.writer;
        let mut client = self.client();
        client.set("statistics.interval.ms", millis(STATISTICS));
        client.set("enable.idempotence", "true");
        client.set("acks", "all");
        client.set("compression.type", "lz4");
        client.set("partitioner", "murmur2_random");
        client.set("linger.ms", millis(linger));
        client.set("message.timeout.ms", millis(acknowledged_within));
        // Whole requests are let in or not before librdkafka sees them, by stricter limits than these.
        client.set("queue.buffering.max.messages", "0");
        client.set("queue.buffering.max.kbytes", (queue_bytes / 512 + 1024).to_string());
        // The framing of a record; a batch of several never exceeds what one record may have.
        client.set("message.max.bytes", (max_record_bytes + 512).to_string());
        client.set("batch.size", max_record_bytes.min(1_000_000).to_string());
        client
    }

    /// A consumer whose positions are told from outside.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let ReaderConfig { group_protocol, queue_bytes, .. } = self.reader;
        let mut client = self.client();
        client.set("statistics.interval.ms", millis(STATISTICS));
        client.set("group.id", group);
        client.set("enable.auto.commit", "false");
        client.set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "error");
        client.set("isolation.level", "read_committed");
        client.set("check.crcs", "true");
        client.set("queued.max.messages.kbytes", (queue_bytes / 1024).max(1).to_string());
        client.set("fetch.message.max.bytes", queue_bytes.min(512 << 10).to_string());
        client.set("fetch.max.bytes", (4 << 20).to_string());
        // A start waits for the fetch under way, which waits for records.
        client.set("fetch.wait.max.ms", "100");
        // A partition whose queue is full is looked at again so soon that its reader does not run dry.
        client.set("fetch.queue.backoff.ms", "10");
        client.set("fetch.error.backoff.ms", "100");
        match group_protocol {
            GroupProtocol::Classic { session_timeout } => {
                client.set("group.protocol", "classic");
                client.set("partition.assignment.strategy", "cooperative-sticky");
                client.set("session.timeout.ms", millis(session_timeout));
                // A member hears of a change by its next heartbeat, and a partition that moves takes two changes.
                client.set("heartbeat.interval.ms", millis(session_timeout / 20));
            }
            GroupProtocol::Consumer => {
                client.set("group.protocol", "consumer");
            }
        }
        client
    }
}

impl Security {
    fn apply(&self, client: &mut ClientConfig) {
        client.set("security.protocol", self.protocol());
        if let Some(Tls { ca, certificate, key, key_password }) = &self.tls {
            let files = [("ca", ca), ("certificate", certificate), ("key", key)];
            for (file, path) in files.into_iter().filter_map(|(file, path)| Some((file, path.as_ref()?))) {
                client.set(format!("ssl.{file}.location"), path.to_string_lossy());
            }
            if let Some(Secret(password)) = key_password {
                client.set("ssl.key.password", password);
            }
        }
        if let Some(Sasl { mechanism, username, password: Secret(password) }) = &self.sasl {
            client.set("sasl.mechanism", mechanism.name());
            client.set("sasl.username", username);
            client.set("sasl.password", password);
        }
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::config::SaslMechanism;
    use super::*;

    /// librdkafka knows every setting, with every choice.
    #[test]
    fn librdkafka_takes_the_settings() {
        let sasl = Sasl {
            mechanism: SaslMechanism::ScramSha512,
            username: "pipeline".into(),
            password: Secret::new("hunter2"),
        };
        let security = Security { tls: Some(Tls::default()), sasl: Some(sasl) };
        let plain = Config::new("broker:9092", "logs");
        for config in [Config { security, ..plain.clone() }, plain] {
            config.producer().create_native_config().unwrap();
            for group_protocol in [GroupProtocol::default(), GroupProtocol::Consumer] {
                let reader = ReaderConfig { group_protocol, ..ReaderConfig::default() };
                let config = Config { reader, ..config.clone() };
                config.consumer("group").create_native_config().unwrap();
            }
        }
    }
}
