//! How to reach Kafka, and the limits of what is read from it and written to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A topic on Kafka.
#[derive(Debug, Clone)]
pub struct Config {
    /// Brokers to begin with, `host:port` with commas between.
    pub bootstrap_servers: String,
    /// Name of the topic; it has to be there, see [`crate::kafka::ensure_topic`].
    pub topic: String,
    /// What the brokers call this process in logs, quotas and metrics.
    pub client_id: String,
    /// Encryption and authentication.
    pub security: Security,
    /// Limits of the writer.
    pub writer: WriterConfig,
    /// Limits of the readers.
    pub reader: ReaderConfig,
}

impl Config {
    /// A topic on brokers that want neither encryption nor authentication, with default limits.
    pub fn new(bootstrap_servers: impl Into<String>, topic: impl Into<String>) -> Config {
        Config {
            bootstrap_servers: bootstrap_servers.into(),
            topic: topic.into(),
            client_id: "logpipeline".into(),
            security: Security::default(),
            writer: WriterConfig::default(),
            reader: ReaderConfig::default(),
        }
    }
}

/// Encryption and authentication. With neither part the connection is plain text.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS, when the listener wants it.
    pub tls: Option<Tls>,
    /// SASL, when the listener wants it.
    pub sasl: Option<Sasl>,
}

impl Security {
    /// Kafka's name for the combination, as in `security.protocol`.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// TLS: whom to trust, and who we are. All files are PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificates of the authorities to trust; the system's when not given.
    pub ca: Option<PathBuf>,
    /// Our certificate, for listeners that ask for one.
    pub certificate: Option<PathBuf>,
    /// Key of our certificate.
    pub key: Option<PathBuf>,
    /// Password of the key file.
    pub key_password: Option<Secret>,
}

/// User and password for SASL.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// Name of the user.
    pub username: String,
    /// Password of the user.
    pub password: Secret,
}

/// How a password is proved to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself: only over TLS.
    Plain,
    /// A challenge, SHA-256.
    ScramSha256,
    /// A challenge, SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// Kafka's name, as in `sasl.mechanism`.
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A text that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Limits of a writer.
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Records that were accepted and are not acknowledged yet; appends are refused beyond.
    pub queue_records: usize,
    /// Bytes of keys, payloads and headers of those records.
    pub queue_bytes: usize,
    /// Bytes of key, payload and headers of one record. The topic's `max.message.bytes` has to be a little larger.
    pub max_record_bytes: usize,
    /// How long records wait for company before they are sent.
    pub linger: Duration,
    /// After this an append that Kafka has not acknowledged is answered as unavailable.
    pub acknowledged_within: Duration,
}

impl Default for WriterConfig {
    fn default() -> WriterConfig {
        WriterConfig {
            queue_records: 200_000,
            queue_bytes: 64 << 20,
            max_record_bytes: 1_000_000,
            linger: Duration::from_millis(5),
            acknowledged_within: Duration::from_secs(30),
        }
    }
}

/// Limits of a reader.
#[derive(Debug, Clone)]
pub struct ReaderConfig {
    /// How the members of a group agree.
    pub group_protocol: GroupProtocol,
    /// How long another member may wait for a partition that was revoked. After this it gets the partition although
    /// the [`crate::Revocation`] was not dropped: what is stored stays right, because the store compares positions.
    pub let_go: Duration,
    /// How often it is checked that the topic is still the same one. Until then records of a topic made anew could be
    /// taken for those of the old one, when it has grown past the position in that time.
    pub check_topic: Duration,
    /// Bytes of records that wait in memory, a partition. What is fetched at once comes on top, and what librdkafka
    /// keeps of each record, about as much as a small record itself.
    pub queue_bytes: usize,
}

impl Default for ReaderConfig {
    fn default() -> ReaderConfig {
        ReaderConfig {
            group_protocol: GroupProtocol::default(),
            let_go: Duration::from_secs(20),
            check_topic: Duration::from_secs(2),
            queue_bytes: 2 << 20,
        }
    }
}

/// How the members of a group agree on who reads what. Measured with three members on Kafka 4.3, while one joins or
/// leaves: partitions that stay rest for 0.1 s by either protocol; partitions that move rest for 0.2 to 2 s by the classic
/// one, and for 1 to 5 s by the brokers' one, whose members hear of it by a heartbeat every 5 s
/// (`group.consumer.heartbeat.interval.ms`). So the classic one is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members agree through one of them, cooperatively and sticky. Any broker speaks it.
    Classic {
        /// A member that was not heard of for so long is out. At least `group.min.session.timeout.ms` of the brokers.
        session_timeout: Duration,
    },
    /// The brokers assign (KIP-848): Kafka 4.0 or newer. They also set the session timeout
    /// (`group.consumer.session.timeout.ms`, 45 s unless configured).
    Consumer,
}

impl Default for GroupProtocol {
    fn default() -> GroupProtocol {
        GroupProtocol::Classic { session_timeout: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured() -> Config {
        let sasl = Sasl {
            mechanism: SaslMechanism::ScramSha512,
            username: "pipeline".into(),
            password: Secret::new("hunter2"),
        };
        let tls = Tls { key_password: Some(Secret::new("hunter3")), ..Tls::default() };
        let security = Security { tls: Some(tls), sasl: Some(sasl) };
        Config { security, ..Config::new("broker:9092", "logs") }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", secured());
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("pipeline"), "{shown}");
    }

    #[test]
    fn the_parts_give_the_protocol() {
        let config = secured();
        assert_eq!(config.security.protocol(), "SASL_SSL");
        assert_eq!(Security { tls: None, ..config.security.clone() }.protocol(), "SASL_PLAINTEXT");
        assert_eq!(Security { sasl: None, ..config.security }.protocol(), "SSL");
        assert_eq!(Security::default().protocol(), "PLAINTEXT");
    }
}
