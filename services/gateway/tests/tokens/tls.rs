//! An issuer by TLS, whose certificate comes from an authority that no system knows.

use crate::{
    captured::Captured,
    certificates::{authority, of_localhost},
    door::{Door, until},
    issuer::{Issuer, set},
    signer::rsa,
};
use axum::http::StatusCode;
use reqwest::Certificate;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const PATH: &str = "/api/v1/logs";

/// Speaks TLS with the certificate in the folder, and passes what it hears on; answers its port.
async fn tls_before(server: SocketAddr, folder: &Path) -> u16 {
    let certificate = CertificateDer::from_pem_file(folder.join("own.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("own.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await);
    let listener = listener.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // Who does not trust us goes away.
            let Ok(mut client) = acceptor.accept(client).await else { continue };
            let mut server = TcpStream::connect(server).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    port
}

#[tokio::test]
async fn keys_are_fetched_by_tls_from_a_server_of_the_right_authority_only() {
    let (log, _guard) = Captured::start();
    let folder = tempfile::tempdir().unwrap();
    let [right, another] = ["right", "another"].map(|name| authority(folder.path(), name));
    of_localhost(folder.path(), "right");
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let port = tls_before(issuer.address, folder.path()).await;
    let door = |host: &str, trusted: Option<&[u8]>| -> Door {
        issuer.door(|config| {
            let jwks = config.jwks.as_mut().unwrap();
            jwks.url = format!("https://{host}:{port}/keys").parse().unwrap();
            jwks.authorities = trusted.map(|pem| Certificate::from_pem_bundle(pem).unwrap());
        })
    };

    let both = [&another[..], &right].concat();
    for trusted in [&right, &both] {
        let answer = door("localhost", Some(trusted)).get(PATH, &rsa.token()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    for (why, host, trusted) in [
        ("another authority", "localhost", Some(&another[..])),
        ("no authority of the system", "localhost", None),
        ("another name", "127.0.0.1", Some(&right)),
    ] {
        let (asked, door) = (issuer.asked(), door(host, trusted));
        let answer = door.get(PATH, &rsa.token()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{why}: {answer:?}");
        let untrusted = async || door.metric("jwks_fetches_total{outcome=\"untrusted\"}");
        until(why, untrusted, |count| *count >= 1.0).await;
        assert_eq!(issuer.asked(), asked, "{why}: it was asked nevertheless");
    }
    let told = log.text();
    for part in ["certificate is not trusted", "LOGPIPELINE_JWKS_CA", "https://localhost"] {
        assert!(told.contains(part), "{part} is not told");
    }
}
