//! Neither logs nor answers hold a token, a part of one that could be used, or the secret.

use crate::{
    captured::Captured,
    issuer::{Issuer, SECRET, set},
    signer::{ec, now, rsa, with},
};
use gateway::auth::Keys;
use serde_json::json;
use std::time::Duration;

/// One thread, so that its log is all that is written.
#[tokio::test]
async fn no_token_and_no_secret_is_told() {
    let (captured, _guard) = Captured::start();

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
    let log = captured.text();
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
