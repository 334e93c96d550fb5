//! What a dead letter says of itself on the topic that is for it.

use crate::support::{KeepLogs, TURN, end};
use bytes::Bytes;
use fault_tests::{
    letters::{OnTopic, published, records},
    load::{http, identity},
    parts::Shape,
    run::System,
    verdict::{settled, topic},
};
use std::{collections::HashMap, time::Duration};
use topic::NewRecord;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// A service whose rows break a constraint (SQLSTATE 23514).
const BREAKS_A_RULE: &str = "breaks-a-rule";
/// A service whose rows are divided by zero (SQLSTATE 22012).
const DIVIDES_BY_ZERO: &str = "divides-by-zero";
/// How often each is tried: at first, and after 1, 2 and 4 s.
const ATTEMPTS: &str = "4";

/// Records that are no events, and events that only the server refuses, by a rule that the consumer does not know: each
/// letter says where its record came from, why it could not be stored and how often it was tried, and keeps its trace.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_says_where_it_came_from_and_why_it_was_given_up() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    settled(&system.parts, Duration::from_secs(60)).await.unwrap();
    let rules = format!(
        "ALTER TABLE logs ADD CONSTRAINT the_rule CHECK (service <> '{BREAKS_A_RULE}'),
             ADD CONSTRAINT divided CHECK (1 / (CASE service WHEN '{DIVIDES_BY_ZERO}' THEN 0 ELSE 1 END) = 1)"
    );
    system.parts.sql(&rules).await.unwrap();
    let whys: HashMap<String, &str> = send(&system).await.into_iter().collect();
    settled(&system.parts, Duration::from_secs(60)).await.unwrap();

    let origins = records(&system.parts, system.parts.topic()).await.unwrap();
    let origins: HashMap<String, &OnTopic> =
        origins.iter().map(|of| (format!("{}/{}", of.partition, of.record.offset), of)).collect();
    let letters = published(&system.parts).await.unwrap();
    let mut left = whys.clone();
    for letter in &letters {
        let origin = origins.get(&letter.place().unwrap()).expect("a letter's place is one of the topic");
        let why = left.remove(&key(&letter.payload())).expect("each is published once, and no other is");
        assert_headers(&system, letter, origin, why);
    }
    assert!(left.is_empty(), "not published: {left:?}");
    let traced = letters.iter().filter(|letter| letter.header("traceparent").is_some()).count();
    assert_eq!(traced, 5, "one of each kind had a trace, and those that came by way of a producer");
    let services = system.parts.sql("SELECT DISTINCT service FROM logs").await.unwrap();
    assert_eq!(services, ["good"], "the good one between them is stored, and nothing else");
    end(system).await;
}

/// Here a header is added by a line.
fn assert_headers(system: &System, letter: &OnTopic, origin: &OnTopic, why: &str) {
    let header = |name: &str| letter.header(&format!("logpipeline.dead-letter.{name}"));
    assert_eq!(header("topic"), Some(system.parts.topic()));
    assert_eq!(header("partition"), Some(origin.partition.to_string()));
    assert_eq!(header("offset"), Some(origin.record.offset.to_string()));
    assert_eq!(header("attempts").as_deref(), Some(ATTEMPTS));
    assert_eq!(header("timestamp"), Some(origin.record.timestamp_ms.to_string()));
    let sqlstate = match why {
        "the_rule" => Some("23514"),
        "division by zero" => Some("22012"),
        _ => None,
    };
    assert_eq!(header("sqlstate").as_deref(), sqlstate);
    let reason = header("reason").unwrap_or_default();
    assert!(reason.contains(why) && !reason.contains('\n'), "{reason:?} does not say {why:?}");
    assert_eq!(letter.header("traceparent"), origin.header("traceparent"));
    assert_eq!((&letter.record.key, letter.payload()), (&origin.record.key, origin.payload()));
}

/// What tells the payloads apart: an event's id, whatever the producer adds to it, or the text.
fn key(payload: &str) -> String {
    let id = payload.split_once(r#""id":""#).and_then(|(_, rest)| rest.split('"').next());
    id.unwrap_or(payload).to_owned()
}

/// Sends of each kind one with a trace and one without, and by way of a producer what it accepts. Answers what is to
/// become a letter, by [`key`], with a part of the reason.
async fn send(system: &System) -> Vec<(String, &'static str)> {
    let event = |service: &str| {
        let id = uuid::Uuid::now_v7();
        let rest = r#""organizationId":"org-1","timestamp":"2026-01-31T12:00:00Z","level":"INFO""#;
        format!(r#"{{"id":"{id}",{rest},"service":"{service}","message":"m"}}"#)
    };
    let mut letters = Vec::new();
    let writer = topic(&system.parts, system.parts.topic()).unwrap().writer().unwrap();
    let traced = vec![("traceparent".to_owned(), Bytes::from_static(TRACEPARENT.as_bytes()))];
    for headers in [traced, Vec::new()] {
        let kinds = [
            (format!("no JSON {}", uuid::Uuid::now_v7()), "not a log record"),
            (event(BREAKS_A_RULE), "the_rule"),
            (event(DIVIDES_BY_ZERO), "division by zero"),
        ];
        for (payload, why) in kinds {
            letters.push((key(&payload), why));
            let record = NewRecord { key: "org-1".into(), payload: payload.into(), headers: headers.clone() };
            assert_eq!(writer.append(vec![record]).await, []);
        }
    }
    let through = [(event(BREAKS_A_RULE), "the_rule"), (event(DIVIDES_BY_ZERO), "division by zero")];
    let lines: Vec<String> = through.iter().map(|(line, _)| line.clone()).chain([event("good")]).collect();
    letters.extend(through.iter().map(|(line, why)| (key(line), *why)));
    let request =
        http().post(format!("{}/api/v1/logs", system.urls[0])).header(handoff::IDENTITY, identity());
    let response = request.header("traceparent", TRACEPARENT).body(lines.join("\n")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 202, "{:?}", response.text().await);
    letters
}
