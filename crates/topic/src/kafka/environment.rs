//! How to reach Kafka, from the variables of the environment. Names are those of Kafka's own clients.

use super::{Config, Sasl, SaslMechanism, Secret, Security, Tls};
use settings::Settings;

impl Config {
    /// Reads what every service needs to reach the topic. Limits of reading and writing keep their defaults.
    pub fn read(settings: &mut Settings) -> Config {
        let bootstrap_servers: String = settings.required(
            "LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS",
            "Brokers to begin with, host:port with commas between",
            "kafka:9092",
        );
        let topic: String =
            settings.value("LOGPIPELINE_KAFKA_TOPIC", "Topic of the events", "logpipeline-logs");
        let client_id = settings.value(
            "LOGPIPELINE_KAFKA_CLIENT_ID",
            "What the brokers call this process",
            "logpipeline",
        );
        Config { client_id, security: security(settings), ..Config::new(bootstrap_servers, topic) }
    }
}

fn security(settings: &mut Settings) -> Security {
    let (with_tls, with_sasl) = settings.parsed(
        "LOGPIPELINE_KAFKA_SECURITY_PROTOCOL",
        "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        "PLAINTEXT",
        protocol,
    );
    let tls = Tls {
        ca: settings.file("LOGPIPELINE_KAFKA_SSL_CA", "File of authorities to trust, PEM; else the system's"),
        certificate: settings.file("LOGPIPELINE_KAFKA_SSL_CERTIFICATE", "File of our certificate, PEM"),
        key: settings.file("LOGPIPELINE_KAFKA_SSL_KEY", "File of the certificate's key, PEM"),
        key_password: settings
            .secret("LOGPIPELINE_KAFKA_SSL_KEY_PASSWORD", "Password of the key file")
            .map(Secret::new),
    };
    let mechanism = settings.parsed(
        "LOGPIPELINE_KAFKA_SASL_MECHANISM",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "SCRAM-SHA-512",
        mechanism,
    );
    let username: Option<String> = settings.optional("LOGPIPELINE_KAFKA_SASL_USERNAME", "User for SASL");
    let password = settings.secret("LOGPIPELINE_KAFKA_SASL_PASSWORD", "Password for SASL");
    let sasl = with_sasl.then(|| match (username, password) {
        (Some(username), Some(password)) => {
            Some(Sasl { mechanism, username, password: Secret::new(password) })
        }
        _ => {
            settings.mistake(
                "SASL needs LOGPIPELINE_KAFKA_SASL_USERNAME and LOGPIPELINE_KAFKA_SASL_PASSWORD (or …_FILE)",
            );
            None
        }
    });
    Security { tls: with_tls.then_some(tls), sasl: sasl.flatten() }
}

/// Whether the protocol has TLS and whether it has SASL.
fn protocol(text: &str) -> Result<(bool, bool), String> {
    match text {
        "PLAINTEXT" => Ok((false, false)),
        "SSL" => Ok((true, false)),
        "SASL_PLAINTEXT" => Ok((false, true)),
        "SASL_SSL" => Ok((true, true)),
        _ => Err("use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL".into()),
    }
}

fn mechanism(text: &str) -> Result<SaslMechanism, String> {
    [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512]
        .into_iter()
        .find(|mechanism| mechanism.name() == text)
        .ok_or_else(|| "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::new(
            variables.iter().map(|(name, value)| (format!("LOGPIPELINE_KAFKA_{name}"), (*value).to_owned())),
        )
    }

    #[test]
    fn the_protocol_decides_what_is_used() {
        let all = [
            ("BOOTSTRAP_SERVERS", "a:9092,b:9092"),
            ("SECURITY_PROTOCOL", "SASL_SSL"),
            ("SASL_USERNAME", "me"),
            ("SASL_PASSWORD", "hunter2"),
            ("SASL_MECHANISM", "SCRAM-SHA-256"),
        ];
        let mut secured = settings(&all);
        let config = Config::read(&mut secured);
        secured.finish().unwrap();
        assert_eq!(
            (config.bootstrap_servers.as_str(), config.security.protocol()),
            ("a:9092,b:9092", "SASL_SSL")
        );
        assert_eq!(config.security.sasl.unwrap().mechanism, SaslMechanism::ScramSha256);
        let mut plain = settings(&all[..1]);
        assert_eq!(Config::read(&mut plain).security.protocol(), "PLAINTEXT");
        plain.finish().unwrap();
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut settings = settings(&[("SECURITY_PROTOCOL", "SASL_SSL"), ("SASL_MECHANISM", "GSSAPI")]);
        Config::read(&mut settings);
        let mistakes = settings.finish().unwrap_err().to_string();
        for words in ["BOOTSTRAP_SERVERS is not set", "SASL needs", "SCRAM-SHA-512"] {
            assert!(mistakes.contains(words), "{mistakes}");
        }
    }
}
