//! What `logpipeline-consumer` says of its settings: all that is wrong, at once, before it opens anything.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../producer/tests/program/mod.rs"]
mod program;

use consumer::config::Config;
use program::{assert_help, run};
use std::net::TcpListener;

const CONSUMER: &str = env!("CARGO_BIN_EXE_logpipeline-consumer");
const DATABASE: (&str, &str) = ("LOGPIPELINE_DATABASE_URL", "postgres://me:hunter-one@127.0.0.1:1/logs");
const KAFKA: (&str, &str) = ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");

#[test]
fn all_that_is_wrong_is_told_at_once_and_no_secret() {
    let ended = run(
        CONSUMER,
        &[],
        &[
            ("LOGPIPELINE_ADMIN_LISTEN", "9090"),
            ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL", "TLS"),
            ("LOGPIPELINE_KAFKA_SASL_PASSWORD", "hunter-two"),
            DATABASE,
            ("LOGPIPELINE_DATABASE_URL_FILE", "/nowhere"),
            ("LOGPIPELINE_DATABASE_TLS", "on"),
            ("LOGPIPELINE_DATABASE_CONNECTIONS", "a few"),
            ("LOGPIPELINE_DATABASE_STATEMENT_TIMEOUT", "10"),
            ("LOGPIPELINE_DATABASE_LOCK_TIMEOUT", "5 parsecs"),
            ("LOGPIPELINE_DATABASE_ANSWER_TIMEOUT", "never"),
            ("LOGPIPELINE_RETENTION_DAYS", "-1"),
            ("LOGPIPELINE_BATCH_RECORDS", "1e3"),
            ("LOGPIPELINE_BATCH_BYTES", "4MB"),
            ("LOGPIPELINE_BATCH_LINGER", "50"),
            ("LOGPIPELINE_PARTITION_MEMORY", "1.5Gi"),
            ("LOGPIPELINE_RETRY_DELAYS", "1s,2,4s"),
            ("LOGPIPELINE_OUTAGE_RETRY", "5"),
            ("LOGPIPELINE_LET_GO", "soon"),
        ],
    );
    ended.assert_refused(&[
        ("LOGPIPELINE_ADMIN_LISTEN=9090:", "address"),
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "such as kafka:9092"),
        ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL=TLS:", "use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ("LOGPIPELINE_DATABASE_URL and LOGPIPELINE_DATABASE_URL_FILE", "set one of them"),
        ("LOGPIPELINE_DATABASE_TLS=on:", "use off, encrypt, verify-ca or verify-full"),
        ("LOGPIPELINE_DATABASE_CONNECTIONS=a few:", "it has to be a number from"),
        ("LOGPIPELINE_DATABASE_STATEMENT_TIMEOUT=10:", "write it like"),
        ("LOGPIPELINE_DATABASE_LOCK_TIMEOUT=5 parsecs:", "write it like"),
        ("LOGPIPELINE_DATABASE_ANSWER_TIMEOUT=never:", "write it like"),
        ("LOGPIPELINE_RETENTION_DAYS=-1:", "it has to be a number from"),
        ("LOGPIPELINE_BATCH_RECORDS=1e3:", "it has to be a number from"),
        ("LOGPIPELINE_BATCH_BYTES=4MB:", "write it like"),
        ("LOGPIPELINE_BATCH_LINGER=50:", "write it like"),
        ("LOGPIPELINE_PARTITION_MEMORY=1.5Gi:", "write it like"),
        ("LOGPIPELINE_RETRY_DELAYS=1s,2,4s:", "unit"),
        ("LOGPIPELINE_OUTAGE_RETRY=5:", "write it like"),
        ("LOGPIPELINE_LET_GO=soon:", "write it like"),
    ]);
    ended.assert_hides(&["hunter-one", "hunter-two"]);
}

#[test]
fn all_that_is_missing_is_told() {
    run(CONSUMER, &[], &[]).assert_refused(&[
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "such as kafka:9092"),
        ("LOGPIPELINE_DATABASE_URL is not set, nor LOGPIPELINE_DATABASE_URL_FILE:", "such as postgres://"),
    ]);
}

/// The settings are judged before anything is bound: a port that is taken is noticed only when they are good.
#[test]
fn nothing_is_bound_before_the_settings_are_good() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let variables = [KAFKA, DATABASE, ("LOGPIPELINE_ADMIN_LISTEN", &*taken)];
    let ended = run(CONSUMER, &[], &variables);
    assert!(ended.code == Some(1) && ended.errors.contains(&taken), "{ended:?}");
    ended.assert_hides(&["hunter-one"]);
    run(CONSUMER, &[], &variables[1..])
        .assert_refused(&[("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set", "")]);
}

#[test]
fn what_can_only_be_read_wrong_is_told_with_the_rest() {
    let ended = run(
        CONSUMER,
        &[],
        &[
            ("LOGPIPELINE_DATABASE_URL", "postgres://me:hunter-one@127.0.0.1:port/logs"),
            ("LOGPIPELINE_DATABASE_CA", "/nowhere/database.pem"),
            ("LOGPIPELINE_DATABASE_CONNECTIONS", "0"),
            ("LOGPIPELINE_RETENTION_DAYS", "0"),
            ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL", "SSL"),
            ("LOGPIPELINE_KAFKA_SSL_CA", "/nowhere/kafka.pem"),
            ("LOGPIPELINE_BATCH_RECORDS", "0"),
            ("LOGPIPELINE_OUTAGE_RETRY", "0s"),
            ("LOGPIPELINE_LOG", "store=loud"),
        ],
    );
    ended.assert_refused(&[
        ("LOGPIPELINE_DATABASE_URL cannot be read", "write it like postgres://"),
        ("LOGPIPELINE_DATABASE_CA=/nowhere/database.pem:", "the file cannot be read"),
        ("LOGPIPELINE_DATABASE_CONNECTIONS=0:", "from 1 to"),
        ("LOGPIPELINE_RETENTION_DAYS=0:", "from 1 to"),
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", ""),
        ("LOGPIPELINE_KAFKA_SSL_CA=/nowhere/kafka.pem:", "the file cannot be read"),
        ("LOGPIPELINE_BATCH_RECORDS=0:", "from 1 to"),
        ("LOGPIPELINE_OUTAGE_RETRY=0s:", "from 1ms to 1day"),
        ("LOGPIPELINE_LOG=store=loud:", "write it like"),
    ]);
    ended.assert_hides(&["hunter-one"]);
}

#[test]
fn help_lists_every_variable_with_its_default() {
    let sources = [
        "src",
        "../../crates/process/src",
        "../../crates/trace/src",
        "../../crates/topic/src",
        "../../crates/store/src",
    ];
    let help = assert_help(CONSUMER, Config::read, &sources);
    for words in [
        "LOGPIPELINE_DATABASE_URL\n      Database, such as postgres://user:password@host:5432/logs [secret, required; or",
        "LOGPIPELINE_BATCH_RECORDS\n      Records that a transaction stores at most [default 5000]",
        "LOGPIPELINE_KAFKA_GROUP\n      Group of the consumers that share the topic [default logpipeline-consumer]",
    ] {
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
}

#[test]
fn the_version_is_told() {
    let version = run(CONSUMER, &["--version"], &[]);
    let expected = format!("logpipeline-consumer {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.output), (Some(0), expected));
}
