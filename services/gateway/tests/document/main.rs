//! The OpenAPI document against what the gateway does: its routes, their parameters, their answers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../door/mod.rs"]
mod door;
mod schema;

use axum::{body::Body, http::Request};
use door::{Answer, Behind, Door, until};
use gateway::{auth::Keys, openapi::DOCUMENT};
use schema::Document;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const ID: &str = "0198c7f2-5b7e-7c3a-9d1e-2f4a6b8c0d22";

struct Api {
    door: Door,
    document: Document,
    token: String,
    reader: String,
    /// Sees what all organisations together have written.
    operator: String,
}

impl Api {
    fn open() -> Api {
        let keys = Keys::new(b"a-secret-of-the-tests-with-32-bytes-or-more");
        let token = |scopes| keys.issue(&"acme".parse().unwrap(), scopes, Duration::from_secs(600));
        let (operator, document) = (token("logs:read pipeline:read"), Document::new(DOCUMENT));
        let (token, reader) = (token("logs:read logs:write"), token("logs:read"));
        Api { door: Door::open(|_, _| keys), document, token, reader, operator }
    }

    /// A GET that has to be answered with this status, as the document says.
    async fn get(&self, route: &str, query: &str, status: u16) -> Answer {
        self.get_as(&self.token, route, query, status).await
    }

    /// The same with another token.
    async fn get_as(&self, token: &str, route: &str, query: &str, status: u16) -> Answer {
        let path = format!("{}{query}", route.replace("{id}", ID));
        let answer = self.door.get(&path, token).await;
        self.assert_documented(route, "get", status, &answer);
        answer
    }

    async fn post(&self, token: &str, headers: &[(&str, &str)], body: &str, status: u16) -> Answer {
        let request = Request::post("/api/v1/logs").header("authorization", format!("Bearer {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = self.door.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        self.assert_documented("/api/v1/logs", "post", status, &answer);
        answer
    }

    fn assert_documented(&self, route: &str, method: &str, status: u16, answer: &Answer) {
        assert_eq!(answer.status, status, "{method} {route}: {answer:?}");
        let response = self.document.response(route, method, status);
        let media_type = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
        let content = &response["content"][media_type];
        assert!(content.is_object(), "{method} {route}: {status} as {media_type} is not in the document");
        if media_type.ends_with("json") {
            self.document.assert_conforms(&content["schema"], &answer.json());
        }
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(answer.headers.contains_key(name), "{method} {route}: {status} without {name}");
        }
    }
}

#[test]
fn the_document_is_whole() {
    let document = Document::new(DOCUMENT);
    assert_eq!(document.root["openapi"], "3.1.0");
    document.assert_references_lead_somewhere();
    let ids: Vec<_> =
        document.operations().into_iter().map(|(_, _, operation)| operation["operationId"].clone()).collect();
    let names: BTreeSet<String> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), ids.len(), "an operationId stands twice: {ids:?}");
}

/// Reads the routes from where they are listed, since a router does not tell them.
#[test]
fn routes_and_document_name_the_same() {
    let source = include_str!("../../src/routes.rs");
    let mut routes = BTreeSet::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').unwrap();
        let handlers = rest.split(".route(").next().unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(").{method}(")) {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    assert!(routes.len() > 8, "the routes were not found: {routes:?}");
    let document = Document::new(DOCUMENT);
    let documented = document.operations().into_iter().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(routes, documented);
}

#[tokio::test]
async fn the_document_is_served_to_all() {
    let api = Api::open();
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let answer = api.door.send(request).await;
    api.assert_documented("/api/v1/openapi.json", "get", 200, &answer);
    assert_eq!(answer.body, DOCUMENT);
}

/// A parameter that is not known is refused with the names of those that are.
#[tokio::test]
async fn parameters_are_those_of_the_document() {
    let api = Api::open();
    let mut looked_at = 0;
    for (route, method, operation) in api.document.operations() {
        let documented = api.document.parameters(&operation, "query");
        if method != "get" || documented.is_empty() {
            continue;
        }
        let answer = api.get(&route, "?nonsense=1", 400).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        let (_, known) = detail.split_once("expected").unwrap();
        let known: BTreeSet<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(known, documented, "{route}");
        looked_at += 1;
    }
    assert_eq!(looked_at, 4);
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let api = Api::open();
    let full = json!({
        "id": ID, "message": "m", "service": "s", "level": "WARN", "timestamp": "2026-01-31T12:00:00Z",
        "traceId": "t", "spanId": "p", "attributes": {"a": [1, null]},
    });
    let events = json!([full, {"message": "m"}, {"message": "m", "organizationId": "other"}]).to_string();
    let verdict = api.post(&api.token, &[], &events, 202).await.json();
    assert_eq!((&verdict["accepted"], verdict["rejected"].as_array().unwrap().len()), (&json!(2), 1));
    let search = async || api.get("/api/v1/logs", "?limit=1000", 200).await.json();
    until("stored events", search, |page| page["logs"].as_array().unwrap().len() == 2).await;
    let page = api.get("/api/v1/logs", "?limit=1&level=WARN,INFO", 200).await.json();
    let cursor = page["nextCursor"].as_str().unwrap().to_owned();
    api.get("/api/v1/logs", &format!("?cursor={cursor}"), 200).await;
    let event = api.get("/api/v1/logs/{id}", "", 200).await.json();
    assert_eq!(event.as_object().unwrap().len(), 9, "all fields were there: {event}");
    let stats = api.get("/api/v1/stats", "?interval=1d", 200).await.json();
    assert_eq!(stats["total"], 2);
    api.get("/api/v1/stats", "?q=nothing", 200).await;
    let ledger = api.get_as(&api.operator, "/api/v1/ledger", "", 200).await.json();
    assert!(!ledger["partitions"].as_array().unwrap().is_empty());
    for page in ["/", "/ui/main.js", "/ui/icon.svg", "/ui/style.css"] {
        let answer = api.door.get(page, &api.token).await;
        let route = if page == "/" { "/" } else { "/ui/{name}" };
        api.assert_documented(route, "get", 200, &answer);
    }
}

/// Whatever a part says is in the document, and what the document says of figures holds for both kinds of token.
#[tokio::test]
async fn an_overview_has_the_figures_that_the_document_names() {
    let api = Api::open();
    let schema = &api.document.root["components"]["schemas"]["Overview"]["properties"];
    for (token, figures) in [(&api.operator, true), (&api.reader, false)] {
        let overview = api.get_as(token, "/api/v1/overview", "", 200).await.json();
        assert_eq!(overview["figures"], figures);
        for (name, part) in overview["parts"].as_object().unwrap() {
            let documented = schema["parts"]["properties"][name]["properties"].as_object().unwrap();
            for (field, description) in documented {
                let needs =
                    description["description"].as_str().is_some_and(|text| text.contains("pipeline:read"));
                let there = part.get(field).is_some();
                assert!(!(needs && there && !figures), "{name}.{field} is shown without the scope");
                assert!(there || field == "detail" || (needs && !figures), "{name}.{field} is not there");
            }
            let unknown = part.as_object().unwrap().keys().find(|field| !documented.contains_key(*field));
            assert_eq!(unknown, None, "{name} says what is not in the document");
        }
        let breakers = overview["breakers"].as_array().unwrap();
        assert!(!breakers.is_empty() && breakers.iter().all(|one| one.get("because").is_some() == figures));
    }
}

#[tokio::test]
async fn refusals_are_as_the_document_says() {
    let api = Api::open();
    for (query, status) in
        [("?limit=0", 400), ("?from=x", 400), ("?cursor=x", 400), ("?organization=other", 403)]
    {
        api.get("/api/v1/logs", query, status).await;
    }
    api.get("/api/v1/logs/{id}", "", 404).await;
    api.get("/api/v1/stats", "?interval=0s", 400).await;
    api.get("/api/v1/tail", "?organization=other", 403).await;
    api.get("/api/v1/ledger", "", 403).await;
    let missing = api.door.get("/ui/none.js", &api.token).await;
    api.assert_documented("/ui/{name}", "get", 404, &missing);
    api.post(&api.token, &[], "no JSON", 400).await;
    api.post(&api.token, &[], r#"{"message":"m","organizationId":"other"}"#, 403).await;
    api.post(&api.reader, &[], "{}", 403).await;
    api.post("x.y.z", &[], "{}", 401).await;
    api.post(&api.token, &[], &"{\"message\":\"m\"}\n".repeat(10_001), 413).await;
    api.post(&api.token, &[("content-type", "text/html")], "{}", 415).await;
    api.post(&api.token, &[("content-encoding", "br")], "{}", 415).await;
    for (route, method, operation) in api.document.operations() {
        let open = operation["security"] == Value::Array(Vec::new());
        if method == "get" && !open {
            let path = route.replace("{id}", ID);
            let answer = api.door.get(&path, "x.y.z").await;
            api.assert_documented(&route, "get", 401, &answer);
            let answer = api.door.get(&format!("{path}?access_token=x"), &api.token).await;
            api.assert_documented(&route, "get", 400, &answer);
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_told_as_the_document_says() {
    let behind = Behind::new();
    let limit = r#"{"perSecond":1,"burst":1}"#;
    let limits = behind.limits(&format!(r#"{{"default":{{"read":{limit},"write":{limit}}}}}"#));
    let door = behind.door(limits, None);
    let (token, document) = (door.token("acme"), Document::new(DOCUMENT));
    let api = Api { reader: token.clone(), operator: token.clone(), door, document, token };
    api.post(&api.token, &[], &"{\"message\":\"m\"}\n".repeat(1000), 202).await;
    api.post(&api.token, &[], "{}", 429).await;
    let read = async || api.door.get("/api/v1/logs", &api.token).await;
    let refused = until("one read too many", read, |answer| answer.status == 429).await;
    api.assert_documented("/api/v1/logs", "get", 429, &refused);
    assert_eq!(refused.json()["violated-policies"], json!(["read"]));
}
