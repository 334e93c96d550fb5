//! Tokens that are let in, and what has to be configured for that.

use crate::{
    issuer::{Issuer, SECRET, any_organization, set},
    signer::{Signer, ec, ec384, ed, headed, hmac, now, rsa, with},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use gateway::auth::Keys;
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::time::Duration;

pub(crate) const PATH: &str = "/api/v1/logs?organization=acme";

#[tokio::test]
async fn good_tokens_are_let_in() {
    let [rsa, ec, ec384, ed] = [rsa("r"), ec("e"), ec384("e3"), ed("d")];
    let issuer = Issuer::new(set(&[&rsa, &ec, &ec384, &ed])).await;
    let door = issuer.door(|_| ());
    let mut tokens: Vec<_> = [&rsa, &ec, &ec384, &ed].map(Signer::token).into();
    for algorithm in
        [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
    {
        tokens.push(Signer { algorithm, ..rsa.clone() }.token());
    }
    tokens.extend([
        hmac(SECRET, "HS256", None),
        Keys::new(SECRET).issue(&"acme".parse().unwrap(), "logs:read", Duration::from_secs(60)),
        // Without an id, when there is one key for the algorithm.
        headed(&json!({"alg": "EdDSA"}), &ed),
        rsa.sign(&with("exp", json!(now() as f64 + 60.5))),
        rsa.sign(&with("exp", json!(u64::MAX))),
        rsa.sign(&with("exp", json!(now() - 2))),
        rsa.sign(&with("nbf", json!(now() + 2))),
        rsa.sign(&with("scope", json!(["openid", "logs:read"]))),
    ]);
    for token in &tokens {
        // The second time it is one that is remembered.
        for _ in 0..2 {
            let answer = door.get(PATH, token).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
    }
    assert_eq!(issuer.asked(), 1);
    // A secret names any organisation, an issuer does not.
    let any = Keys::new(SECRET).issue(&"*".parse().unwrap(), "logs:read", Duration::from_secs(60));
    assert_eq!(door.get(PATH, &any).await.status, StatusCode::OK);
    assert_eq!(door.get(PATH, &any_organization(&rsa)).await.status, StatusCode::UNAUTHORIZED);
    let trusting = issuer.door(|config| config.jwks.as_mut().unwrap().any_organization = true);
    assert_eq!(trusting.get(PATH, &any_organization(&rsa)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_audience_that_is_set_is_required() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let door = issuer.door(|config| config.audience = Some("logs".into()));
    for (aud, status) in [
        (json!("logs"), 200),
        (json!(["account", "logs"]), 200),
        (json!("account"), 401),
        (json!([]), 401),
        (json!(7), 401),
        (json!("logs2"), 401),
    ] {
        let answer = door.get(PATH, &rsa.sign(&with("aud", aud.clone()))).await;
        assert_eq!(answer.status, status, "{aud}: {answer:?}");
    }
    assert_eq!(door.get(PATH, &rsa.token()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_secret_no_secret_is_good_and_without_an_issuer_no_key() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let only_issuer = issuer.door(|config| config.secret = None);
    for secret in [SECRET, b"", b"null"] {
        let answer = only_issuer.get(PATH, &hmac(secret, "HS256", None)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    }
    assert_eq!(only_issuer.get(PATH, &rsa.token()).await.status, StatusCode::OK);
    let only_secret = issuer.door(|config| config.jwks = None);
    assert_eq!(only_secret.get(PATH, &rsa.token()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(only_secret.get(PATH, &hmac(SECRET, "HS256", None)).await.status, StatusCode::OK);
    assert_eq!(issuer.asked(), 1, "without an issuer nothing is fetched");
}

#[tokio::test]
async fn a_token_in_the_address_or_in_two_headers_is_refused() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let door = issuer.door(|_| ());
    let token = rsa.token();
    let in_address = format!("/api/v1/logs?access_token={token}");
    let bearer = format!("Bearer {token}");
    let request = |uri: &str, values: &[&str]| {
        let builder = Request::get(uri);
        let builder = values.iter().fold(builder, |builder, value| builder.header("authorization", *value));
        builder.body(Body::empty()).unwrap()
    };
    for refused in
        [request(&in_address, &[]), request(&in_address, &[&bearer]), request(PATH, &[&bearer, &bearer])]
    {
        let answer = door.send(refused).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_request"));
    }
    let basic = door.send(request(PATH, &["Basic bWU6aHVudGVy"])).await;
    assert_eq!(basic.status, StatusCode::UNAUTHORIZED);
    assert_eq!(basic.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"logpipeline\"");
    assert_eq!(door.send(request(PATH, &[&bearer])).await.status, StatusCode::OK);
    let reader = rsa.sign(&with("scope", json!("logs:read")));
    let write = Request::post("/api/v1/logs").header("authorization", format!("Bearer {reader}"));
    let answer = door.send(write.body("{}".into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap().contains("insufficient_scope"));
}
