//! What `logpipeline-gateway` says of its settings: all that is wrong, at once, before it opens anything.
#![cfg(feature = "service")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "certificates/mod.rs"]
mod certificates;
#[path = "../../producer/tests/program/mod.rs"]
mod program;

use certificates::authority;
use gateway::config::Config;
use program::{assert_help, run};
use std::net::TcpListener;

const GATEWAY: &str = env!("CARGO_BIN_EXE_logpipeline-gateway");
const DATABASE: (&str, &str) = ("LOGPIPELINE_DATABASE_URL", "postgres://me:hunter-one@127.0.0.1:1/logs");
const KAFKA: (&str, &str) = ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1");
const KEY: (&str, &str) = ("LOGPIPELINE_GATEWAY_KEY", "hunter-four-is-a-key-of-32-bytes-at-least");
const SECRET: (&str, &str) = ("LOGPIPELINE_JWT_SECRET", "hunter-two-is-a-secret-of-32-bytes-at-least");

#[test]
fn all_that_is_wrong_is_told_at_once_and_no_secret() {
    let ended = run(
        GATEWAY,
        &[],
        &[
            ("LOGPIPELINE_LISTEN", "localhost"),
            ("LOGPIPELINE_ADMIN_LISTEN", "9090"),
            ("LOGPIPELINE_JWT_SECRET", "hunter-short"),
            ("LOGPIPELINE_GATEWAY_KEY", "hunter-key"),
            ("LOGPIPELINE_PRODUCER_URL", "https://producer"),
            ("LOGPIPELINE_PRODUCER_PROTOCOL", "h2"),
            ("LOGPIPELINE_CONSUMER_URL", "consumer:9090"),
            ("LOGPIPELINE_KAFKA_SASL_PASSWORD", "hunter-three"),
            ("LOGPIPELINE_KAFKA_SASL_MECHANISM", "GSSAPI"),
            ("LOGPIPELINE_DATABASE_URL_FILE", "/nowhere/at/all"),
            ("LOGPIPELINE_DATABASE_CONNECTIONS", "-1"),
            ("LOGPIPELINE_DATABASE_TLS", "yes"),
            ("LOGPIPELINE_LOG_FORMAT", "xml"),
            ("LOGPIPELINE_REDIS_URL", "http://:hunter-four@redis"),
            ("LOGPIPELINE_REDIS_CA", "/nowhere/redis.pem"),
            ("LOGPIPELINE_RATE_LIMITS_FILE", "/nowhere/limits.json"),
            ("LOGPIPELINE_RATE_LIMITS_DEADLINE", "1h"),
            ("LOGPIPELINE_RATE_LIMITS_WITHOUT_REDIS", "maybe"),
            ("LOGPIPELINE_GATEWAY_REPLICAS", "0"),
        ],
    );
    ended.assert_refused(&[
        ("LOGPIPELINE_LISTEN=localhost:", "address"),
        ("LOGPIPELINE_ADMIN_LISTEN=9090:", "address"),
        ("LOGPIPELINE_JWT_SECRET has fewer than 32 bytes", ""),
        ("LOGPIPELINE_GATEWAY_KEY has fewer than 32 bytes", ""),
        ("LOGPIPELINE_PRODUCER_URL=https://producer:", "write it like http://host:8080"),
        ("LOGPIPELINE_PRODUCER_PROTOCOL=h2:", "use http/1.1 or h2c"),
        ("LOGPIPELINE_CONSUMER_URL=consumer:9090:", "write it like http://host:8080"),
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "such as kafka:9092"),
        ("LOGPIPELINE_KAFKA_SASL_MECHANISM=GSSAPI:", "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ("LOGPIPELINE_DATABASE_URL_FILE=/nowhere/at/all:", "No such file"),
        ("LOGPIPELINE_DATABASE_CONNECTIONS=-1:", "it has to be a number from"),
        ("LOGPIPELINE_DATABASE_TLS=yes:", "use off, encrypt, verify-ca or verify-full"),
        ("LOGPIPELINE_LOG_FORMAT=xml:", "use text or json"),
        ("LOGPIPELINE_REDIS_URL: it has to be like redis://", ""),
        ("LOGPIPELINE_REDIS_CA=/nowhere/redis.pem:", "No such file"),
        ("LOGPIPELINE_RATE_LIMITS_FILE=/nowhere/limits.json:", "No such file"),
        ("LOGPIPELINE_RATE_LIMITS_DEADLINE=1h:", "from 1ms to 1s"),
        ("LOGPIPELINE_RATE_LIMITS_WITHOUT_REDIS=maybe:", "use local, open or closed"),
        ("LOGPIPELINE_GATEWAY_REPLICAS=0:", "from 1 to 10000"),
    ]);
    ended.assert_hides(&["hunter-short", "hunter-key", "hunter-three", "hunter-four"]);
}

#[test]
fn all_that_is_missing_is_told() {
    run(GATEWAY, &[], &[]).assert_refused(&[
        (
            "LOGPIPELINE_JWT_SECRET is not set, nor LOGPIPELINE_JWT_SECRET_FILE, nor LOGPIPELINE_JWKS_URL:",
            "at least 32 bytes",
        ),
        ("LOGPIPELINE_GATEWAY_KEY is not set, nor LOGPIPELINE_GATEWAY_KEY_FILE:", "at least 32 bytes"),
        ("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set:", "such as kafka:9092"),
        ("LOGPIPELINE_DATABASE_URL is not set, nor LOGPIPELINE_DATABASE_URL_FILE:", "such as postgres://"),
    ]);
}

#[test]
fn what_is_wrong_with_tokens_is_told() {
    let long = "x".repeat(300);
    let ended = run(
        GATEWAY,
        &[],
        &[
            KAFKA,
            DATABASE,
            KEY,
            ("LOGPIPELINE_JWT_SECRET_FILE", "/nowhere/at/all"),
            ("LOGPIPELINE_JWKS_URL", "ftp://idp/keys"),
            ("LOGPIPELINE_JWKS_CA", "/nowhere/ca.pem"),
            ("LOGPIPELINE_JWKS_REFRESH", "0s"),
            ("LOGPIPELINE_JWKS_REFETCH", "often"),
            ("LOGPIPELINE_JWKS_KEEP", "1m"),
            ("LOGPIPELINE_JWKS_ANY_ORGANIZATION", "yes"),
            ("LOGPIPELINE_JWT_LEEWAY", "1h"),
            ("LOGPIPELINE_JWT_AUDIENCE", &long),
        ],
    );
    ended.assert_refused(&[
        ("LOGPIPELINE_JWT_SECRET_FILE=/nowhere/at/all:", "No such file"),
        ("LOGPIPELINE_JWKS_URL=ftp://idp/keys:", "write it like https://host/jwks.json"),
        ("LOGPIPELINE_JWKS_CA=/nowhere/ca.pem:", "No such file"),
        ("LOGPIPELINE_JWKS_REFRESH=0s:", "from 1s to 1day"),
        ("LOGPIPELINE_JWKS_REFETCH=often:", "write it like"),
        ("LOGPIPELINE_JWKS_KEEP is below LOGPIPELINE_JWKS_REFRESH", ""),
        ("LOGPIPELINE_JWKS_ANY_ORGANIZATION=yes:", "true"),
        ("LOGPIPELINE_JWT_LEEWAY=1h:", "from 0s to 300s"),
        ("LOGPIPELINE_JWT_AUDIENCE=xxx", "longer than 256 bytes"),
    ]);
    let url = ("LOGPIPELINE_JWKS_URL", "https://me:hunter-five@idp/keys");
    let ended = run(GATEWAY, &[], &[KAFKA, DATABASE, KEY, url]);
    ended.assert_refused(&[("LOGPIPELINE_JWKS_URL has a user or a password", "")]);
    ended.assert_hides(&["hunter-five"]);
    let empty = tempfile::NamedTempFile::new().unwrap();
    let authorities = ("LOGPIPELINE_JWKS_CA", empty.path().to_str().unwrap());
    let url = ("LOGPIPELINE_JWKS_URL", "https://idp/keys");
    run(GATEWAY, &[], &[KAFKA, DATABASE, KEY, url, authorities])
        .assert_refused(&[("LOGPIPELINE_JWKS_CA=", "it has no certificate")]);
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path(), "one");
    let file = folder.path().join("one.crt");
    let authorities = ("LOGPIPELINE_JWKS_CA", file.to_str().unwrap());
    let url = ("LOGPIPELINE_JWKS_URL", "http://idp/keys");
    run(GATEWAY, &[], &[KAFKA, DATABASE, KEY, url, authorities]).assert_refused(&[(
        "LOGPIPELINE_JWKS_CA is set, and LOGPIPELINE_JWKS_URL does not begin with https",
        "",
    )]);
}

/// The settings are judged before anything is bound: a port that is taken is noticed only when they are good.
#[test]
fn nothing_is_bound_before_the_settings_are_good() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let admin = ("LOGPIPELINE_ADMIN_LISTEN", "127.0.0.1:0");
    let variables = [KAFKA, DATABASE, SECRET, KEY, admin, ("LOGPIPELINE_LISTEN", &*taken)];
    let ended = run(GATEWAY, &[], &variables);
    assert!(ended.code == Some(1) && ended.errors.contains(&taken), "{ended:?}");
    ended.assert_hides(&["hunter-one", "hunter-two", "hunter-four"]);
    run(GATEWAY, &[], &variables[1..])
        .assert_refused(&[("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS is not set", "")]);
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
    let help = assert_help(GATEWAY, Config::read, &sources);
    for words in [
        "LOGPIPELINE_JWT_SECRET\n      Secret of at least 32 bytes that signs tokens (HS256) [secret, optional; or",
        "LOGPIPELINE_PRODUCER_URL\n      Address of the producers [default http://logpipeline-producer:8080]",
    ] {
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
}

#[test]
fn the_version_is_told() {
    let version = run(GATEWAY, &["--version"], &[]);
    let expected = format!("logpipeline-gateway {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.output), (Some(0), expected));
}
