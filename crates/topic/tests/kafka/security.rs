//! Encrypted and authenticated listeners of the same broker.

use crate::support::*;
use std::time::Duration;
use topic::kafka::{Config, Metrics, Sasl, SaslMechanism, Secret, Security, Tls, Topic};

/// The listener that `hack/kafka.sh` opens so far above the plain one.
fn listener(above: u16) -> String {
    let plain = env("LOGPIPELINE_TEST_KAFKA");
    let (host, port) = plain.split(',').next().unwrap().rsplit_once(':').unwrap();
    format!("{host}:{}", port.parse::<u16>().unwrap() + above)
}

fn tls() -> Tls {
    Tls { ca: Some(env("LOGPIPELINE_TEST_KAFKA_CA").into()), ..Tls::default() }
}

fn sasl(mechanism: SaslMechanism) -> Sasl {
    let password = Secret::new(env("LOGPIPELINE_TEST_KAFKA_PASSWORD"));
    Sasl { mechanism, username: env("LOGPIPELINE_TEST_KAFKA_USER"), password }
}

async fn round_trip(test: &str, above: u16, security: Security) {
    let config = Config { bootstrap_servers: listener(above), security, ..config(test) };
    make(&config, &[]).await;
    let topic = Topic::new(config.clone(), Metrics::default()).unwrap();
    append(&*topic.writer().unwrap(), numbered(&key_of(2), 3)).await;
    let mut reader = topic.subscribe(&config.topic);
    assigned_all(&mut *reader).await;
    reader.start(2, 0);
    assert_eq!(offsets(&read(&mut *reader, 3).await[&2]), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    round_trip("tls", 20, Security { tls: Some(tls()), sasl: None }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_password() {
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256] {
        round_trip("sasl", 40, Security { tls: None, sasl: Some(sasl(mechanism)) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_password_over_tls() {
    let security = Security { tls: Some(tls()), sasl: Some(sasl(SaslMechanism::ScramSha512)) };
    round_trip("sasl-tls", 60, security).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told() {
    let sasl = Sasl { password: Secret::new("wrong"), ..sasl(SaslMechanism::ScramSha256) };
    let mut config = Config {
        bootstrap_servers: listener(40),
        security: Security { tls: None, sasl: Some(sasl) },
        ..config("wrong-password")
    };
    config.writer.acknowledged_within = Duration::from_secs(2);
    let topic = Topic::new(config, Metrics::default()).unwrap();
    let failures = within(topic.writer().unwrap().append(numbered("acme", 1))).await;
    assert_eq!(failures.len(), 1);
    let error = next(&mut *topic.subscribe("wrong-password")).await.unwrap_err();
    assert!(!error.0.contains("wrong\""), "no secrets: {error}");
}

#[test]
fn a_file_that_is_not_there_is_told_at_once() {
    let tls = Tls { ca: Some("/nowhere/ca.pem".into()), ..Tls::default() };
    let config =
        Config { security: Security { tls: Some(tls), sasl: None }, ..Config::new("127.0.0.1:1", "nothing") };
    let error = Topic::new(config, Metrics::default()).err().expect("an error").to_string();
    assert!(error.contains("ca"), "{error}");
}
