//! Neither logs nor answers hold a token, a part of one that could be used, or the secret.

use crate::{
    issuer::{Issuer, SECRET, set},
    signer::{ec, now, rsa, with},
};
use gateway::auth::Keys;
use serde_json::json;
use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Captured;

    fn make_writer(&self) -> Captured {
        self.clone()
    }
}

/// One thread, so that its log is all that is written.
#[tokio::test]
async fn no_token_and_no_secret_is_told() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(LevelFilter::TRACE)
        .with_writer(captured.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (rsa, unknown) = (rsa("r"), ec("unknown"));
    let issuer = Issuer::new(set(&[&rsa])).await;
    let door = issuer.door(|_| ());
    let good = rsa.token();
    let tokens = [
        good.clone(),
        Keys::new(SECRET).issue(&"acme".parse().unwrap(), "logs:read", Duration::from_secs(60)),
        Keys::new(b"another").issue(&"acme".parse().unwrap(), "logs:read", Duration::from_secs(60)),
        unknown.token(),
        rsa.sign(&with("exp", json!(now() - 60))),
        rsa.sign(&with("iss", json!("elsewhere"))),
        rsa.sign(&with("scope", json!("none"))),
        good.replace('.', ".x"),
        format!("{good}.{good}"),
        format!("{good}="),
    ];
    let mut told = String::new();
    for token in &tokens {
        for uri in ["/api/v1/logs", "/api/v1/overview"] {
            let answer = door.get(uri, token).await;
            told.push_str(&format!("{answer:?}"));
        }
        let address = http::Request::get(format!("/api/v1/logs?access_token={token}"));
        told.push_str(&format!("{:?}", door.send(address.body(axum::body::Body::empty()).unwrap()).await));
    }
    told.push_str(&format!("{:?}", issuer.config()));
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("reason=\"signature\"") && log.contains("keys of the issuer"),
        "nothing was captured: {log}"
    );
    for text in [log, told] {
        for part in tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 60) {
            assert!(!text.contains(part), "{part} is in {text}");
        }
        assert!(!text.contains(std::str::from_utf8(SECRET).unwrap()));
        assert!(!text.contains(&format!("{SECRET:?}")));
    }
}
