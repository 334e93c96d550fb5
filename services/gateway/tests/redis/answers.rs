//! What clients see of their limits.

use crate::{
    door::Behind,
    support::{connected, fresh, shared, until},
};
use axum::{Router, http::StatusCode, response::IntoResponse};
use gateway::limits::{Config, WithoutRedis};
use process::problem::Problem;
use std::time::Duration;

const LIMITS: &str = r#"{"default":{"write":{"perSecond":1,"burst":100},"read":{"perSecond":1,"burst":3}}}"#;

#[tokio::test]
async fn reads_and_writes_are_limited_separately_and_answers_say_so() {
    let behind = Behind::new();
    let door = behind.door(behind.limits(LIMITS), Some(connected(&shared()).await));
    let (acme, other) = (fresh("acme"), fresh("other"));
    for left in ["2", "1", "0"] {
        let answer = door.read(&acme, "/api/v1/logs").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("ratelimit"), format!("\"read\";r={left};t=1"));
        assert_eq!(answer.header("ratelimit-policy"), "\"read\";q=3;w=3");
    }
    let refused = door.read(&acme, "/api/v1/stats").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(refused.header("ratelimit"), "\"read\";r=0;t=1");
    assert_eq!(refused.json()["violated-policies"][0], "read");
    assert_eq!(refused.json()["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    let millis = refused.json()["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1000).contains(&millis), "{refused:?}");

    let written = door.write(&acme, 40).await;
    assert_eq!(written.status, 202, "{written:?}");
    assert!(written.headers.get("logpipeline-events").is_none(), "that is between gateway and producer");
    assert!(written.header("ratelimit").starts_with("\"write\";r="));
    assert_eq!(written.header("ratelimit-policy"), "\"write\";q=100;w=100;logpipeline-unit=\"events\"");
    assert_eq!(door.read(&other, "/api/v1/logs").await.status, 200);

    // The route that tells the limits takes nothing of them, also when nothing is left.
    until("the write has cost its 40 events", async || {
        let told = door.read(&acme, "/api/v1/limits").await;
        assert_eq!((told.status, &told.json()["read"]["by"]), (StatusCode::OK, &"redis".into()));
        assert_eq!(
            (&told.json()["organization"], &told.json()["read"]["perSecond"]),
            (&acme.as_str().into(), &1.into())
        );
        (60..=63).contains(&told.json()["write"]["remaining"].as_u64().unwrap())
    })
    .await;
    assert_eq!(door.read("*", "/api/v1/limits").await.json()["read"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_request_above_the_burst_passes_once_and_its_debt_is_kept() {
    let behind = Behind::new();
    let door = behind.door(behind.limits(LIMITS), Some(connected(&shared()).await));
    let acme = fresh("acme");
    assert_eq!(door.write(&acme, 1000).await.status, 202);
    until("the debt is settled", async || {
        let refused = door.write(&acme, 1).await;
        refused.status == 429 && refused.json()["retryAfterMs"].as_u64().unwrap() > 890_000
    })
    .await;
    let refused = door.write(&acme, 1).await;
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((890..=902).contains(&seconds), "901 events too many at 1 a second: {refused:?}");
}

#[tokio::test]
async fn what_did_not_reach_the_topic_is_given_back_and_what_cannot_be_read_costs_one_event() {
    let behind = Behind::new();
    let (acme, redis) = (fresh("acme"), connected(&shared()).await);
    let away = Router::new().fallback(async || {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the topic is away").into_response()
    });
    let broken = behind.door_to(away, behind.limits(LIMITS), Some(redis.clone()));
    let door = behind.door(behind.limits(LIMITS), Some(redis));
    for _ in 0..3 {
        assert_eq!(broken.write(&acme, 200).await.status, 503);
        until("the estimate is given back", async || {
            door.read(&acme, "/api/v1/limits").await.json()["write"]["remaining"] == 100
        })
        .await;
    }
    assert_eq!(door.post(&acme, "[".repeat(20_000)).await.status, 400);
    until("a request without events costs one", async || {
        door.read(&acme, "/api/v1/limits").await.json()["write"]["remaining"] == 99
    })
    .await;
}

/// Neither hiding the length nor going away before the answer writes more than the limit.
#[tokio::test]
async fn a_body_without_a_length_is_paid_for_also_when_its_client_goes_away() {
    let behind = Behind::new();
    let (acme, redis) = (fresh("acme"), connected(&shared()).await);
    let reads_and_never_answers = Router::new().fallback(async |request: axum::extract::Request| {
        let _ = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        std::future::pending::<()>().await;
    });
    let hanging = behind.door_to(reads_and_never_answers, behind.limits(LIMITS), Some(redis.clone()));
    let door = behind.door(behind.limits(LIMITS), Some(redis));
    let gone = tokio::time::timeout(Duration::from_millis(100), hanging.write_unmeasured(&acme, 400)).await;
    assert!(gone.is_err(), "there is no answer to wait for: {gone:?}");
    until("what was sent is paid", async || {
        door.read(&acme, "/api/v1/limits").await.json()["write"]["remaining"] == 0
    })
    .await;
    assert_eq!(door.write(&acme, 1).await.status, 429);

    let other = fresh("other");
    assert_eq!(door.write_unmeasured(&other, 60).await.status, 202);
    until("the events are paid", async || {
        (40..43).contains(
            &door.read(&other, "/api/v1/limits").await.json()["write"]["remaining"].as_u64().unwrap(),
        )
    })
    .await;
}

#[tokio::test]
async fn tokens_for_any_organisation_have_a_limit_of_their_own() {
    let behind = Behind::new();
    let (acme, redis) = (fresh("acme"), connected(&shared()).await);
    let door = behind.door(behind.limits(LIMITS), Some(redis));
    let path = format!("/api/v1/logs?organization={acme}");
    for _ in 0..10 {
        let answer = door.read("*", &path).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (StatusCode::OK, ""));
    }
    assert_eq!(door.read(&acme, "/api/v1/limits").await.json()["read"]["remaining"], 3);
}

#[tokio::test]
async fn only_a_good_token_is_counted() {
    let behind = Behind::new();
    let (acme, redis) = (fresh("acme"), connected(&shared()).await);
    let door = behind.door(behind.limits(LIMITS), Some(redis));
    for _ in 0..10 {
        assert_eq!(door.get("/api/v1/logs", "nonsense").await.status, 401);
    }
    assert_eq!(door.read(&acme, "/api/v1/limits").await.json()["read"]["remaining"], 3);
}

/// Without Redis from the start, by each of the policies.
#[tokio::test]
async fn nobody_at_the_address_of_redis() {
    let behind = Behind::new();
    let redis = || {
        Some(gateway::redis::Redis::open(
            &"redis://127.0.0.1:1".parse().unwrap(),
            &process::cores::Cores::none(),
            &Default::default(),
            &mut Default::default(),
        ))
    };
    for (without_redis, statuses) in [
        (WithoutRedis::Open, [200, 200, 200, 200]),
        (WithoutRedis::Local, [200, 200, 200, 429]),
        (WithoutRedis::Closed, [503, 503, 503, 503]),
    ] {
        let door = behind.door(Config { without_redis, ..behind.limits(LIMITS) }, redis());
        for status in statuses {
            let answer = door.read("acme", "/api/v1/logs").await;
            assert_eq!(answer.status, status, "{without_redis:?}: {answer:?}");
            assert!(status == 200 || !answer.header("retry-after").is_empty(), "{answer:?}");
        }
    }
    // No address at all: alone, by local buckets, whatever holds without Redis.
    let alone = behind.door(Config { without_redis: WithoutRedis::Open, ..behind.limits(LIMITS) }, None);
    for status in [200, 200, 200, 429] {
        assert_eq!(alone.read("acme", "/api/v1/logs").await.status, status);
    }
}
