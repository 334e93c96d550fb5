//! Keys that come and go while tokens are used.

use crate::{
    door::until,
    issuer::{Issuer, set},
    signer::{Signer, ec, now, other_rsa, rsa, with},
};
use axum::http::StatusCode;
use serde_json::json;
use std::time::Duration;

const PATH: &str = "/api/v1/logs";
/// Longer than any test: what happens is not because of it.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_new_key_is_good_at_its_first_token_and_a_removed_one_is_not() {
    let (old, new) = (rsa("old"), ec("new"));
    let issuer = Issuer::new(set(&[&old])).await;
    let door = issuer.door(|config| {
        let jwks = config.jwks.as_mut().unwrap();
        (jwks.refresh, jwks.refetch) = (NEVER, Duration::from_millis(1));
    });
    // Twice: it is remembered from now on.
    for _ in 0..2 {
        assert_eq!(door.get(PATH, &old.token()).await.status, StatusCode::OK);
    }
    assert_eq!(door.metric("jwks_keys"), 1.0);
    let remembered = old.token();
    assert_eq!(door.get(PATH, &remembered).await.status, StatusCode::OK);

    issuer.say(set(&[&old, &new]));
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(door.get(PATH, &new.token()).await.status, StatusCode::OK, "the first token of a new key");
    assert_eq!(door.get(PATH, &remembered).await.status, StatusCode::OK);
    assert_eq!((issuer.asked(), door.metric("jwks_keys")), (2, 2.0));

    issuer.say(set(&[&new]));
    tokio::time::sleep(Duration::from_millis(2)).await;
    let unknown = other_rsa("unknown").token();
    assert_eq!(door.get(PATH, &unknown).await.status, StatusCode::UNAUTHORIZED);
    let answer = door.get(PATH, &remembered).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "a token outlives its key: {answer:?}");
    assert_eq!(door.get(PATH, &new.token()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn keys_are_fetched_regularly() {
    let (old, new) = (rsa("old"), ec("new"));
    let issuer = Issuer::new(set(&[&old])).await;
    let door = issuer.door(|config| {
        let jwks = config.jwks.as_mut().unwrap();
        (jwks.refresh, jwks.refetch) = (Duration::from_millis(20), NEVER);
    });
    let token = old.token();
    assert_eq!(door.get(PATH, &token).await.status, StatusCode::OK);
    issuer.say(set(&[&new]));
    until("a removed key", async || door.get(PATH, &token).await.status, |status| *status == 401).await;
    assert_eq!(door.get(PATH, &new.token()).await.status, StatusCode::OK);
}

/// Anybody can send tokens with made-up keys; that must not become a flood of requests to the issuer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_unknown_keys_make_one_fetch() {
    let good = rsa("good");
    let issuer = Issuer::new(set(&[&good])).await;
    let door = issuer.door(|config| {
        let jwks = config.jwks.as_mut().unwrap();
        (jwks.refresh, jwks.refetch) = (NEVER, Duration::from_millis(500));
    });
    assert_eq!(door.get(PATH, &good.token()).await.status, StatusCode::OK);
    let forger = ec("x");
    let tokens: Vec<String> = (0..300)
        .map(|number| {
            let header = json!({"alg": "ES256", "kid": format!("made-up-{number}")});
            crate::signer::sign(&header.to_string(), &crate::signer::claims(), &forger.key, forger.algorithm)
        })
        .collect();
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        let answers = futures::future::join_all(tokens.iter().map(|token| door.get(PATH, token))).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::UNAUTHORIZED));
    }
    // One fetch at first, then one each half second at most.
    let most = 2 + begun.elapsed().as_millis() / 500;
    assert!(issuer.asked() as u128 <= most, "{} fetches, not {most}", issuer.asked());
    // A key that is new is found as soon as a fetch is allowed again.
    let new = Signer { kid: "new", ..forger };
    issuer.say(set(&[&good, &new]));
    until("the new key", async || door.get(PATH, &new.token()).await.status, |status| *status == 200).await;
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_time() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let door = issuer.door(|config| config.leeway = Duration::ZERO);
    let exp = now() + 2;
    let token = rsa.sign(&with("exp", json!(exp)));
    let mut let_in = 0;
    loop {
        let before = now();
        let answer = door.get(PATH, &token).await;
        if answer.status != StatusCode::OK {
            assert!(answer.body.contains("expired") && now() > exp, "{answer:?}");
            break;
        }
        assert!(before <= exp, "let in {} s after its time", before - exp);
        let_in += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(let_in > 1, "it was never remembered");
}
