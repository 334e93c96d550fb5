//! Two organisations behind one gateway: `acme`, which tries, and `other`, whose events nobody else may see.

use crate::door::{Answer, Door, until};
use axum::{body::Body, http::Request};
use gateway::auth::Keys;
use serde_json::{Value, json};
use std::time::Duration;

/// In every field of the events of `other`, and in no request of `acme` unless it asks for it.
pub(crate) const MARK: &str = "geheimnis";
/// An event of `other`.
pub(crate) const THEIRS: &str = "0198c7f2-5b7e-7c3a-9d1e-2f4a6b8c0d11";
/// An event of `acme`.
pub(crate) const OURS: &str = "0198c7f2-5b7e-7c3a-9d1e-2f4a6b8c0d22";
const SECRET: &[u8] = b"a-secret-of-the-tests-with-32-bytes-or-more";
const SCOPES: &str = "logs:read logs:write";

/// The gateway with events of both.
pub(crate) struct Neighbours {
    pub(crate) door: Door,
    /// Token of `acme`.
    pub(crate) acme: String,
    /// Token of `other`.
    pub(crate) other: String,
    /// Token for any organisation.
    pub(crate) any: String,
    keys: Keys,
}

impl Neighbours {
    /// Three events of each, stored.
    pub(crate) async fn new() -> Neighbours {
        let keys = Keys::new(SECRET);
        let token = |name: &str| keys.issue(&name.parse().unwrap(), SCOPES, Duration::from_secs(3600));
        let (acme, other, any) = (token("acme"), token("other"), token("*"));
        let door = Door::open(|_, _| keys.clone());
        let neighbours = Neighbours { door, acme, other, any, keys };
        let events = |id: &str, mark: &str| {
            let event = |number: u8| {
                json!({
                    "service": format!("{mark}-service"),
                    "message": format!("{mark} number {number}"),
                    "traceId": format!("{mark}-trace"),
                    "attributes": {mark: mark},
                    "timestamp": format!("2026-01-0{}T00:00:00Z", number + 1),
                    "level": "ERROR",
                })
            };
            let mut events = [event(0), event(1), event(2)];
            events[1]["id"] = json!(id);
            json!(events).to_string()
        };
        for (token, id, mark) in [(&neighbours.other, THEIRS, MARK), (&neighbours.acme, OURS, "unser")] {
            let answer = neighbours.post(token, &[], events(id, mark)).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            neighbours.stored(token, 3).await;
        }
        neighbours
    }

    /// A token with other scopes.
    pub(crate) fn token(&self, organization: &str, scopes: &str) -> String {
        self.keys.issue(&organization.parse().unwrap(), scopes, Duration::from_secs(3600))
    }

    /// A POST of events.
    pub(crate) async fn post(&self, token: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.post_to("/api/v1/logs", token, headers, body).await
    }

    /// A POST to any path.
    pub(crate) async fn post_to(
        &self,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.door.send(request.body(body.into()).unwrap()).await
    }

    /// Waits until an organisation has so many events; answers them.
    pub(crate) async fn stored(&self, token: &str, count: usize) -> Vec<Value> {
        let search = async || self.door.get("/api/v1/logs?limit=1000", token).await.json();
        let logs = |page: &Value| page["logs"].as_array().unwrap().clone();
        let page = until("stored events", search, |page| logs(page).len() >= count).await;
        assert_eq!(logs(&page).len(), count, "{page}");
        logs(&page)
    }

    /// Panics when the events of `other` are not those that it sent itself.
    pub(crate) async fn assert_untouched(&self, after: &str) {
        let logs = self.stored(&self.other, 3).await;
        for log in &logs {
            let theirs =
                log["message"].as_str().unwrap().starts_with(MARK) && log["organizationId"] == "other";
            assert!(theirs, "after {after}: {log}");
        }
        let theirs = self.door.get(&format!("/api/v1/logs/{THEIRS}"), &self.other).await;
        assert_eq!(theirs.json()["message"], format!("{MARK} number 1"), "after {after}: {theirs:?}");
    }
}
