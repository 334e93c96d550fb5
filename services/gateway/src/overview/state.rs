//! The overview for a token of one organisation: the state of the pipeline, and nothing from which one could tell how much
//! the others write or where a part stands.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What is kept of each part. Whatever else a part comes to say is not shown by itself.
const PARTS: [(&str, &[&str]); 5] = [
    ("producer", &["status"]),
    ("topic", &["status", "partitions", "lag"]),
    ("consumer", &["status"]),
    ("store", &["status", "latencyMs"]),
    ("ledger", &["status", "balanced"]),
];
/// What is kept of the whole.
const WHOLE: [&str; 4] = ["version", "uptimeSeconds", "organization", "partial"];

/// An overview without its figures, addresses and reasons: reasons name hosts.
pub(super) fn only_state(overview: &Value) -> Value {
    let mut state = kept(overview, &WHOLE);
    let parts = PARTS
        .iter()
        .map(|(name, fields)| (String::from(*name), Value::Object(kept(&overview["parts"][name], fields))));
    state.insert("figures".into(), false.into());
    state.insert("parts".into(), Value::Object(parts.collect()));
    state.insert("breakers".into(), kinds(&overview["breakers"]));
    Value::Object(state)
}

fn kept(value: &Value, fields: &[&str]) -> Map<String, Value> {
    let field = |name: &&str| Some((String::from(*name), value.get(name)?.clone()));
    fields.iter().filter_map(field).collect()
}

/// Each state that breakers before one kind of dependency have, once: how many there are and where is left out.
fn kinds(breakers: &Value) -> Value {
    let of = |breaker: &Value| {
        let kind = breaker["dependency"].as_str()?.split(' ').next()?.to_owned();
        Some((kind, breaker["state"].as_str()?.to_owned()))
    };
    let kinds: BTreeSet<(String, String)> =
        breakers.as_array().into_iter().flatten().filter_map(of).collect();
    kinds.iter().map(|(kind, state)| json!({ "dependency": kind, "state": state })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stay_figures_addresses_and_reasons_go() {
        let breaker = |dependency: &str, state: &str| json!({ "dependency": dependency, "state": state, "because": "10.1.2.3 refused" });
        let overview = json!({
            "version": "1.2.3",
            "uptimeSeconds": 5,
            "organization": "acme",
            "partial": true,
            "figures": true,
            "somethingNew": 4711,
            "breakers": [
                breaker("producer 10.1.2.3:80", "open"),
                breaker("producer 10.1.2.4:80", "closed"),
                breaker("producer 10.1.2.5:80", "closed"),
                breaker("redis", "half_open"),
            ],
            "parts": {
                "producer": { "status": "ok", "accepted": 4711, "rejected": 4711, "detail": null },
                "topic": { "status": "ok", "partitions": 6, "lag": 7 },
                "consumer": { "status": "holding", "stored": 4711, "detail": "no connection to 10.1.2.3" },
                "store": { "status": "ok", "logs": 4711, "deadLettered": 4711, "latencyMs": 1.5 },
                "ledger": { "status": "unavailable", "detail": "no connection to 10.1.2.3" },
            },
        });
        let expected = json!({
            "version": "1.2.3",
            "uptimeSeconds": 5,
            "organization": "acme",
            "partial": true,
            "figures": false,
            "breakers": [
                { "dependency": "producer", "state": "closed" },
                { "dependency": "producer", "state": "open" },
                { "dependency": "redis", "state": "half_open" },
            ],
            "parts": {
                "producer": { "status": "ok" },
                "topic": { "status": "ok", "partitions": 6, "lag": 7 },
                "consumer": { "status": "holding" },
                "store": { "status": "ok", "latencyMs": 1.5 },
                "ledger": { "status": "unavailable" },
            },
        });
        assert_eq!(only_state(&overview), expected);
    }
}
