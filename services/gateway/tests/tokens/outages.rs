//! An issuer that is away, slow, or answers what is no key set.

use crate::{
    door::{Answer, Door, until},
    issuer::{Issuer, Says, set},
    signer::{Signer, ec, rsa},
};
use axum::http::{StatusCode, header};
use gateway::auth::Config;
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/logs";

/// Fetches as often as it may.
fn eager(config: &mut Config) {
    let jwks = config.jwks.as_mut().unwrap();
    (jwks.refresh, jwks.refetch) = (Duration::from_millis(20), Duration::from_millis(1));
}

fn assert_come_back(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.headers.contains_key(header::RETRY_AFTER), "{answer:?}");
    assert!(!answer.headers.contains_key(header::WWW_AUTHENTICATE), "{answer:?}");
}

fn fetches(door: &Door, outcome: &str) -> f64 {
    door.metric(&format!("jwks_fetches_total{{outcome=\"{outcome}\"}}"))
}

#[tokio::test]
async fn before_there_are_keys_tokens_are_neither_good_nor_bad() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let config = issuer.config();
    let gone = issuer.go().await;
    let mut config = config;
    eager(&mut config);
    let door = Door::open(|registry, stop| gateway::auth::Keys::open(config, registry, stop).unwrap());
    assert_come_back(&door.get(PATH, &rsa.token()).await);
    assert!(fetches(&door, "unreachable") >= 1.0);
    assert_eq!((door.metric("jwks_keys"), door.metric("jwks_age_seconds")), (0.0, 0.0));
    let _issuer = gone.come_back().await;
    until("the issuer is back", async || door.get(PATH, &rsa.token()).await.status, |status| *status == 200)
        .await;
}

#[tokio::test]
async fn known_keys_stay_good_while_the_issuer_is_away_but_not_for_ever() {
    let (rsa, unknown) = (rsa("r"), ec("unknown"));
    let issuer = Issuer::new(set(&[&rsa])).await;
    let keep = Duration::from_secs(2);
    let door = issuer.door(|config| {
        eager(config);
        config.jwks.as_mut().unwrap().keep = keep;
    });
    let token = rsa.token();
    assert_eq!(door.get(PATH, &token).await.status, StatusCode::OK);
    let gone = issuer.go().await;
    let away = Instant::now();
    until("a fetch that fails", async || fetches(&door, "unreachable"), |count| *count >= 1.0).await;
    let answer = door.get(PATH, &token).await;
    let fresh = door.get(PATH, &rsa.token()).await;
    if away.elapsed() < keep - Duration::from_millis(500) {
        assert_eq!((answer.status, fresh.status), (StatusCode::OK, StatusCode::OK), "{answer:?}");
    }
    // A key that may be new cannot be looked for.
    assert_come_back(&door.get(PATH, &unknown.token()).await);
    until("keys grow older", async || door.metric("jwks_age_seconds"), |age| *age > 0.5).await;
    let answer =
        until("keys lapse", async || door.get(PATH, &token).await, |answer| answer.status != 200).await;
    assert_come_back(&answer);
    assert!(away.elapsed() > keep - Duration::from_millis(100), "lapsed after {:?}", away.elapsed());
    let _issuer = gone.come_back().await;
    until("the issuer is back", async || door.get(PATH, &token).await.status, |status| *status == 200).await;
}

#[tokio::test]
async fn what_is_no_key_set_changes_nothing_and_takes_no_memory() {
    let rsa = rsa("r");
    let other = Issuer::new(set(&[&ec("x")])).await;
    let elsewhere = Says::Elsewhere(format!("http://{}/keys", other.address));
    let text = |text: &str| Says::Text(StatusCode::OK, text.to_owned());
    let table = [
        ("too_slow", Says::Nothing),
        ("too_large", Says::Bytes(100 << 20)),
        ("status", elsewhere),
        ("status", Says::Text(StatusCode::INTERNAL_SERVER_ERROR, "{}".into())),
        ("status", Says::Text(StatusCode::NO_CONTENT, String::new())),
        ("unreadable", text("<html>sign in</html>")),
        ("unreadable", text("")),
        ("unreadable", text("{\"keys\": {}}")),
        ("unreadable", text(&format!("{{\"keys\": {}", "[".repeat(100_000)))),
    ];
    for (outcome, says) in table {
        let issuer = Issuer::new(set(&[&rsa])).await;
        let door = issuer.door(eager);
        let token = rsa.token();
        assert_eq!(door.get(PATH, &token).await.status, StatusCode::OK, "{outcome}");
        issuer.say(says);
        until(outcome, async || fetches(&door, outcome), |count| *count >= 1.0).await;
        // Another token, so that it is verified anew.
        assert_eq!(
            door.get(PATH, &Signer { ..rsa.clone() }.token()).await.status,
            StatusCode::OK,
            "{outcome}"
        );
        assert_eq!(
            door.get(PATH, &ec("x").token()).await.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{outcome}"
        );
        let per_fetch = issuer.sent() / issuer.asked();
        assert!(per_fetch < 16 << 20, "{per_fetch} bytes of an endless answer were taken");
    }
    assert_eq!(other.asked(), 0, "a redirect was followed");
}

/// A forger who asks for keys that do not exist must not hold requests of others.
#[tokio::test]
async fn a_slow_issuer_holds_no_token_whose_key_is_known() {
    let rsa = rsa("r");
    let issuer = Issuer::new(set(&[&rsa])).await;
    let door = issuer.door(eager);
    assert_eq!(door.get(PATH, &rsa.token()).await.status, StatusCode::OK);
    issuer.say(Says::Nothing);
    let asked = issuer.asked();
    until("a slow fetch", async || issuer.asked(), |now| *now > asked).await;
    let forged = ec("x").token();
    let begun = Instant::now();
    let (known, unknown) = tokio::join!(
        async {
            let answer = door.get(PATH, &rsa.token()).await;
            (answer, begun.elapsed())
        },
        async {
            let answer = door.get(PATH, &forged).await;
            (answer, begun.elapsed())
        }
    );
    assert_eq!(known.0.status, StatusCode::OK);
    assert_come_back(&unknown.0);
    assert!(known.1 < unknown.1, "{:?} {:?}", known.1, unknown.1);
    assert!(unknown.1 < Duration::from_secs(10), "{:?}", unknown.1);
}
