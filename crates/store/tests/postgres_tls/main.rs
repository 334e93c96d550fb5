//! TLS to a real PostgreSQL: what is promised by each mode holds, and nothing is ever sent in the clear instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use record::Timestamp;
use server::Server;
use std::path::PathBuf;
use store::{
    Query, Sink,
    postgres::{Config, Store, Tls},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Asks for TLS: <https://www.postgresql.org/docs/current/protocol-message-formats.html>, SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Names that the certificate has and has not.
const NAMED: &str = "localhost";
const NOT_NAMED: &str = "127.0.0.1";

/// One server for all, because making one takes seconds.
#[tokio::test(flavor = "multi_thread")]
async fn each_mode_holds_what_it_promises() {
    let server = Server::start();
    let authority = Some(server.authority());
    let stranger = Some(server.another_authority());

    for (tls, host) in [
        (Tls::VerifyFull(authority.clone()), NAMED),
        (Tls::VerifyCa(authority.clone()), NAMED),
        (Tls::VerifyCa(authority.clone()), NOT_NAMED),
        (Tls::Encrypt, NOT_NAMED),
    ] {
        works_and_is_encrypted(&server, tls, host).await;
    }
    let unknown = "invalid peer certificate: UnknownIssuer";
    for (tls, host, reason) in [
        (Tls::VerifyFull(stranger.clone()), NAMED, unknown),
        (Tls::VerifyCa(stranger), NAMED, unknown),
        // The system knows nothing of the server's authority.
        (Tls::VerifyFull(None), NAMED, unknown),
        (Tls::VerifyFull(authority.clone()), NOT_NAMED, "certificate not valid for name \"127.0.0.1\""),
        (Tls::VerifyFull(Some(PathBuf::from("/nowhere/ca.pem"))), NAMED, "No such file"),
    ] {
        is_refused(&server, tls, host, reason).await;
    }
    server.turn_tls_off();
    for tls in [Tls::VerifyFull(authority.clone()), Tls::VerifyCa(authority), Tls::Encrypt] {
        is_refused(&server, tls, NAMED, "server does not support TLS").await;
    }
}

async fn works_and_is_encrypted(server: &Server, tls: Tls, host: &str) {
    let store = open(&server.url(host), tls.clone());
    store.migrate().await.unwrap_or_else(|error| panic!("{tls:?} to {host}: {error}"));
    store.maintain(Timestamp::now()).await.unwrap();
    Sink::ready(&store).await.unwrap();
    assert_eq!(server.sessions(), (1, 1), "{tls:?}: sessions, and how many of them are encrypted");
    store.close().await;
}

async fn is_refused(server: &Server, tls: Tls, host: &str, reason: &str) {
    let store = open(&server.url(host), tls.clone());
    for error in [
        Sink::ready(&store).await.unwrap_err().to_string(),
        Query::ready(&store).await.unwrap_err().to_string(),
        store.migrate().await.unwrap_err().to_string(),
    ] {
        assert!(error.contains(reason), "{tls:?} to {host}: {error}");
        assert!(error.contains("authority's file"), "{tls:?} to {host}: {error}");
    }
    assert_eq!(server.sessions(), (0, 0), "{tls:?} to {host}");
}

/// To a server without TLS goes the question for it and nothing else: neither user nor password.
#[tokio::test]
async fn nothing_is_sent_to_a_server_that_has_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://me:s3cret@{}/logs", listener.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; SSL_REQUEST.len()];
        connection.read_exact(&mut heard).await.unwrap();
        connection.write_all(b"N").await.unwrap();
        connection.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let error = Sink::ready(&open(&url, Tls::VerifyFull(None))).await.unwrap_err().to_string();
    assert!(error.contains("no TLS connection can be made"), "{error}");
    assert_eq!(heard.await.unwrap(), SSL_REQUEST);
}

fn open(url: &str, tls: Tls) -> Store {
    // What the URL says of TLS counts less than the setting.
    let url = format!("{url}?sslmode=prefer");
    Store::open(Config { connections: 1, days_back: 0, days_ahead: 0, tls, ..Config::new(url) }).unwrap()
}
