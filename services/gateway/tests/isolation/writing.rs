//! Attempts to write in another's name, and to disturb what another wrote.

use crate::{
    door::until,
    neighbours::{Neighbours, THEIRS},
};
use axum::{body::Body, http::Request};
use serde_json::json;

/// What an attempt writes, so that it is told apart.
const INTRUDER: &str = "intruder";

/// Requests that are taken are stored as `acme`'s own.
#[tokio::test]
async fn headers_and_parameters_name_no_other_writer() {
    let neighbours = Neighbours::new().await;
    let event = json!({ "message": INTRUDER }).to_string();
    let attempts: [(&str, &[(&str, &str)]); 10] = [
        ("/api/v1/logs", &[("logpipeline-organization", "other")]),
        ("/api/v1/logs", &[("logpipeline-organization", "other"), ("logpipeline-organization", "acme")]),
        ("/api/v1/logs", &[("Logpipeline-Organization", "*"), ("LOGPIPELINE-ORGANIZATION", "other")]),
        // A proxy that strips what `Connection` names would strip the gateway's own word.
        (
            "/api/v1/logs",
            &[("connection", "logpipeline-organization"), ("logpipeline-organization", "other")],
        ),
        ("/api/v1/logs", &[("logpipeline_organization", "other"), ("x-logpipeline-organization", "other")]),
        ("/api/v1/logs", &[("x-forwarded-user", "other"), ("forwarded", "by=other")]),
        ("/api/v1/logs", &[("trailer", "logpipeline-organization")]),
        ("/api/v1/logs?organization=other", &[]),
        ("/api/v1/logs?organization=acme&organization=other&logpipeline-organization=other", &[]),
        ("/api/v1/logs", &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]),
    ];
    let mut taken = 0;
    for (path, headers) in attempts {
        let answer = neighbours.post_to(path, &neighbours.acme, headers, event.clone()).await;
        assert!([202, 400].contains(&answer.status.as_u16()), "{path} {headers:?}: {answer:?}");
        taken += usize::from(answer.status == 202);
    }
    assert!(taken > 5, "only {taken} attempts were taken");
    for log in neighbours.stored(&neighbours.acme, 3 + taken).await {
        assert_eq!(log["organizationId"], "acme");
    }
    neighbours.assert_untouched("headers and parameters").await;
}

#[tokio::test]
async fn events_name_no_other_writer() {
    let neighbours = Neighbours::new().await;
    let names =
        ["other", "Other", "*", "", "оther", "other\u{0}", "acme,other", "../other", "acme/../other", "_"];
    let mut bodies: Vec<String> =
        names.iter().map(|name| json!({ "message": INTRUDER, "organizationId": name }).to_string()).collect();
    bodies.extend([
        r#"{"message":"intruder","organizationId":["other"]}"#.into(),
        r#"{"message":"intruder","organizationId":{"x":"other"}}"#.into(),
        r#"{"message":"intruder","organizationId":"acme","organizationId":"other"}"#.into(),
        r#"{"message":"intruder","organizationId":"other","organizationId":"acme"}"#.into(),
        r#"{"message":"intruder","organizationId":"other"}"#.into(),
    ]);
    for body in &bodies {
        let answer = neighbours.post(&neighbours.acme, &[], body.clone()).await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{body}: {answer:?}");
    }
    // Good ones beside a bad one are taken, the bad one is not.
    let mixed = json!([{"message": INTRUDER}, {"message": INTRUDER, "organizationId": "other"}]).to_string();
    let answer = neighbours.post(&neighbours.acme, &[], mixed).await;
    assert_eq!(
        (answer.json()["accepted"].as_u64(), answer.json()["rejected"].as_array().unwrap().len()),
        (Some(1), 1)
    );
    // Members of other names are none of the pipeline's.
    for name in ["OrganizationId", "organization_id", "organization", "org"] {
        let answer = neighbours
            .post(&neighbours.acme, &[], json!({"message": INTRUDER, name: "other"}).to_string())
            .await;
        assert!([202, 400].contains(&answer.status.as_u16()), "{name}: {answer:?}");
    }
    neighbours.assert_untouched("events").await;
}

/// Ids are the sender's to choose: using another's neither replaces nor hides what the other has.
#[tokio::test]
async fn anothers_id_is_another_event() {
    let neighbours = Neighbours::new().await;
    let squatted = "0198c7f2-5b7e-7c3a-9d1e-2f4a6b8c0d77";
    let bodies =
        json!([{"message": INTRUDER, "id": THEIRS}, {"message": INTRUDER, "id": squatted}]).to_string();
    assert_eq!(neighbours.post(&neighbours.acme, &[], bodies).await.status, 202);
    neighbours.stored(&neighbours.acme, 5).await;
    neighbours.assert_untouched("an id that was used").await;
    let own = neighbours.door.get(&format!("/api/v1/logs/{THEIRS}"), &neighbours.acme).await;
    assert_eq!(own.json()["message"], INTRUDER);
    // An id that somebody used before is not taken for a repetition, in whatever partition: names enough for all.
    for number in 0..20 {
        let body = json!({"message": "mine", "id": squatted, "organizationId": format!("tenant-{number}")});
        assert_eq!(neighbours.post(&neighbours.any, &[], body.to_string()).await.status, 202);
    }
    for number in 0..20 {
        let path = format!("/api/v1/logs/{squatted}?organization=tenant-{number}");
        let get = async || neighbours.door.get(&path, &neighbours.any).await;
        let answer = until(&path, get, |answer| answer.status == 200).await;
        assert_eq!(answer.json()["message"], "mine");
    }
}

/// Who may read only, writes nothing, and the other way round.
#[tokio::test]
async fn scopes_are_kept_apart() {
    let neighbours = Neighbours::new().await;
    let methods = ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "post", "PURGE"];
    for method in methods {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/logs?organization=other")
            .header("authorization", format!("Bearer {}", neighbours.acme));
        let answer = neighbours.door.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
    }
    for path in [
        "/internal/v1/status",
        "/internal/v1/logs",
        "/api/v1/logs/..%2f..%2finternal/v1/status",
        "//api/v1/logs",
    ] {
        let answer = neighbours.door.get(path, &neighbours.acme).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
    }
}
