//! What `logpipeline-producer` says of its settings: all that is wrong, at once, before it opens anything.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use producer::config::Config;
use program::{assert_help, run};
use std::net::TcpListener;

const PRODUCER: &str = env!("CARGO_BIN_EXE_logpipeline-producer");

#[test]
fn all_that_is_wrong_is_told_at_once_and_no_secret() {
    let ended = run(
        PRODUCER,
        &[],
        &[
            ("LOGPIPELINE_LISTEN", "here"),
            ("LOGPIPELINE_ADMIN_LISTEN", "9090"),
            ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL", "TLS"),
            ("LOGPIPELINE_KAFKA_SASL_MECHANISM", "GSSAPI"),
            ("LOGPIPELINE_KAFKA_SASL_PASSWORD", "hunter-one"),
            ("LOGPIPELINE_KAFKA_SASL_PASSWORD_FILE", "/nowhere"),
            ("LOGPIPELINE_KAFKA_SSL_KEY_PASSWORD_FILE", "/nowhere/at/all"),
            ("LOGPIPELINE_GATEWAY_KEY", "hunter-two"),
            ("LOGPIPELINE_REQUEST_BYTES", "10MB"),
            ("LOGPIPELINE_REQUEST_DECODED_BYTES", "1.5Gi"),
            ("LOGPIPELINE_REQUESTS_MEMORY", "-1"),
            ("LOGPIPELINE_REQUEST_EVENTS", "many"),
            ("LOGPIPELINE_ACK_TIMEOUT", "30"),
            ("LOGPIPELINE_DRAIN_DELAY", "soon"),
            ("LOGPIPELINE_LOG_FORMAT", "xml"),
        ],
    );
    ended.assert_refused(&[
        ("LOGPIPELINE_LISTEN=here:", "address"),
        ("LOGPIPELINE_ADMIN_LISTEN=9090:", "address"),
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "such as kafka:9092"),
        ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL=TLS:", "use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ("LOGPIPELINE_KAFKA_SASL_MECHANISM=GSSAPI:", "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("LOGPIPELINE_KAFKA_SASL_PASSWORD and LOGPIPELINE_KAFKA_SASL_PASSWORD_FILE", "set one of them"),
        ("LOGPIPELINE_KAFKA_SSL_KEY_PASSWORD_FILE=/nowhere/at/all:", "No such file"),
        ("LOGPIPELINE_GATEWAY_KEY has fewer than 32 bytes", ""),
        ("LOGPIPELINE_REQUEST_BYTES=10MB:", "write it like"),
        ("LOGPIPELINE_REQUEST_DECODED_BYTES=1.5Gi:", "write it like"),
        ("LOGPIPELINE_REQUESTS_MEMORY=-1:", "write it like"),
        ("LOGPIPELINE_REQUEST_EVENTS=many:", "it has to be a number from"),
        ("LOGPIPELINE_ACK_TIMEOUT=30:", "write it like"),
        ("LOGPIPELINE_DRAIN_DELAY=soon:", "write it like"),
        ("LOGPIPELINE_LOG_FORMAT=xml:", "use text or json"),
    ]);
    ended.assert_hides(&["hunter-one", "hunter-two"]);
}

#[test]
fn what_is_missing_is_told() {
    let missing = [
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "host:port"),
        ("LOGPIPELINE_GATEWAY_KEY is not set, nor LOGPIPELINE_GATEWAY_KEY_FILE:", "at least 32 bytes"),
    ];
    run(PRODUCER, &[], &[]).assert_refused(&missing);
    // Empty, as templates leave it, is not set.
    run(PRODUCER, &[], &[("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", "")]).assert_refused(&missing);
}

#[test]
fn sasl_without_user_and_password_is_told() {
    let variables = [
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("LOGPIPELINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("LOGPIPELINE_GATEWAY_KEY", "a key of the tests, 32 bytes or more"),
    ];
    run(PRODUCER, &[], &variables).assert_refused(&[(
        "SASL needs",
        "LOGPIPELINE_KAFKA_SASL_USERNAME and LOGPIPELINE_KAFKA_SASL_PASSWORD",
    )]);
}

/// The settings are judged before anything is bound: a port that is taken is noticed only when they are good.
#[test]
fn nothing_is_bound_before_the_settings_are_good() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let variables = [
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("LOGPIPELINE_LISTEN", &*taken),
        ("LOGPIPELINE_ADMIN_LISTEN", &*taken),
        ("LOGPIPELINE_LOG_FORMAT", "text"),
        ("LOGPIPELINE_GATEWAY_KEY", "a key of the tests, 32 bytes or more"),
    ];
    let ended = run(PRODUCER, &[], &variables);
    assert!(ended.code == Some(1) && ended.errors.contains(&taken), "{ended:?}");
    run(PRODUCER, &[], &variables[1..])
        .assert_refused(&[("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set", "")]);
}

#[test]
fn help_lists_every_variable_with_its_default() {
    let sources = ["src", "../../crates/process/src", "../../crates/trace/src", "../../crates/topic/src"];
    let help = assert_help(PRODUCER, Config::read, &sources);
    for words in [
        "LOGPIPELINE_LISTEN\n      Address of the API [default 0.0.0.0:8080]",
        "LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS\n      Brokers to begin with, host:port with commas between [required, such as",
        "LOGPIPELINE_REQUEST_EVENTS\n      Events a request may have [default 10000]",
        "LOGPIPELINE_DRAIN_DELAY\n",
        "[default 5s]",
    ] {
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
}

#[test]
fn the_version_is_told_and_other_arguments_are_refused() {
    let version = run(PRODUCER, &["--version"], &[]);
    let expected = format!("logpipeline-producer {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.output), (Some(0), expected));
    let refused = run(PRODUCER, &["--listen", "127.0.0.1:0"], &[]);
    assert!(refused.code == Some(2) && refused.errors.contains("--help"), "{refused:?}");
}
