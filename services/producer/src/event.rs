//! Judges one event as a client sent it.

use crate::json_text::{Flaw, flaw};
use record::{Level, LogRecord, OrganizationId, Timestamp, Uuid, limits};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Who may write what: the organisation of the token, or any for a local administrator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    /// Only this organisation; events need not name it.
    Only(OrganizationId),
    /// Any organisation; each event names its own.
    Any,
}

/// Why an event is refused. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not an event: malformed JSON, a missing or unknown field, a field of the wrong kind.
    #[error("{0}")]
    Malformed(String),
    /// The event belongs to another organisation than the token.
    #[error(
        "organizationId is `{theirs}`, but the token is for `{own}`; leave organizationId out or use its own token"
    )]
    Foreign {
        /// The event's.
        theirs: OrganizationId,
        /// The token's.
        own: OrganizationId,
    },
}

/// The event as clients send it: what they leave out is filled in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Draft<'a> {
    id: Option<Uuid>,
    organization_id: Option<OrganizationId>,
    timestamp: Option<Timestamp>,
    level: Option<Level>,
    service: Option<String>,
    message: String,
    trace_id: Option<String>,
    span_id: Option<String>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

/// Reads one event and fills in what the client left out: a new id, the token's organisation, `now`, `INFO`.
///
/// # Errors
/// [`Refusal`] when it breaks a rule; the text names the field.
pub fn judge(json: &[u8], writes: &Writes, now: Timestamp) -> Result<LogRecord, Refusal> {
    if json.len() > limits::EVENT_BYTES {
        return refuse(format!(
            "the event has {} bytes, at most {} are taken",
            json.len(),
            limits::EVENT_BYTES
        ));
    }
    let json = std::str::from_utf8(json).map_err(|error| {
        Refusal::Malformed(format!("the event is not UTF-8: byte {} cannot be read", error.valid_up_to()))
    })?;
    if !json.trim_start().starts_with('{') {
        return refuse("an event is a JSON object such as {\"message\":\"…\"}".into());
    }
    let draft: Draft<'_> = serde_json::from_str(json).map_err(|error| Refusal::Malformed(explain(&error)))?;
    let organization_id = organization(draft.organization_id, writes)?;
    let service = draft.service.unwrap_or_else(|| "unknown".into());
    check_text("message", &draft.message, limits::MESSAGE_BYTES)?;
    check_text("service", &service, limits::SERVICE_BYTES)?;
    for (name, text) in [("traceId", &draft.trace_id), ("spanId", &draft.span_id)] {
        check_text(name, text.as_deref().unwrap_or(""), limits::TRACE_BYTES)?;
    }
    if let Some(attributes) = draft.attributes {
        check_attributes(attributes)?;
    }
    Ok(LogRecord {
        id: draft.id.unwrap_or_else(Uuid::now_v7),
        organization_id,
        timestamp: draft.timestamp.unwrap_or(now),
        level: draft.level.unwrap_or(Level::Info),
        service,
        message: draft.message,
        trace_id: draft.trace_id,
        span_id: draft.span_id,
        attributes: draft.attributes.map(ToOwned::to_owned),
    })
}

fn refuse<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal::Malformed(reason))
}

/// The parser's message, with what to do about it where that is not plain.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") {
        format!("{text}; put fields of your own into `attributes`")
    } else if error.is_data() {
        text
    } else {
        format!("not JSON: {text}")
    }
}

fn organization(named: Option<OrganizationId>, writes: &Writes) -> Result<OrganizationId, Refusal> {
    match (named, writes) {
        (None, Writes::Only(own)) => Ok(own.clone()),
        (Some(theirs), Writes::Only(own)) if theirs != *own => {
            Err(Refusal::Foreign { theirs, own: own.clone() })
        }
        (Some(named), _) => Ok(named),
        (None, Writes::Any) => {
            refuse("the token is for any organisation: the event must say organizationId".into())
        }
    }
}

fn check_text(name: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() > limit {
        return refuse(format!("{name} has {} bytes, at most {limit} are taken", text.len()));
    }
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return refuse(format!("{name} holds the character U+0000, which no store keeps; take it out"));
    }
    Ok(())
}

fn check_attributes(attributes: &RawValue) -> Result<(), Refusal> {
    if !attributes.get().starts_with('{') {
        return refuse("attributes must be a JSON object such as {\"user\":\"…\"}".into());
    }
    // The event is the first level.
    match flaw(attributes.get(), limits::DEPTH - 1) {
        None => Ok(()),
        Some(Flaw::TooDeep) => {
            refuse(format!("attributes make the event deeper than {} levels", limits::DEPTH))
        }
        Some(Flaw::Nul) => {
            refuse("attributes hold the character U+0000, which no store keeps; take it out".into())
        }
        Some(Flaw::LoneSurrogate) => {
            refuse("attributes hold half of a surrogate pair, which is no character".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acme() -> Writes {
        Writes::Only("acme".parse().unwrap())
    }

    fn reason(json: &str) -> String {
        judge(json.as_bytes(), &acme(), Timestamp::now()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let now = Timestamp::now();
        let record = judge(br#"{"message":"hi"}"#, &acme(), now).unwrap();
        assert_eq!((record.timestamp, record.level, record.service.as_str()), (now, Level::Info, "unknown"));
        assert_eq!(record.organization_id.as_str(), "acme");
        assert_eq!(record.id.get_version_num(), 7);
    }

    #[test]
    fn every_refusal_names_the_field_and_says_what_to_do() {
        let deep = format!(r#"{{"message":"m","attributes":{{"a":{}{}}}}}"#, "[".repeat(40), "]".repeat(40));
        let long = format!(r#"{{"message":"m","service":"{}"}}"#, "x".repeat(300));
        let cases: [(&str, &[&str]); 16] = [
            ("{", &["not JSON", "line 1"]),
            ("[]", &["JSON object"]),
            ("\"text\"", &["JSON object"]),
            ("{}", &["missing field `message`"]),
            (r#"{"message":5}"#, &["integer `5`", "string"]),
            (r#"{"message":"m","host":"h"}"#, &["unknown field `host`", "`attributes`"]),
            (r#"{"message":"m","message":"n"}"#, &["duplicate field `message`"]),
            (r#"{"message":"m","level":"LOUD"}"#, &["level `LOUD`", "FATAL"]),
            (r#"{"message":"m","timestamp":"0000-01-01T00:00:00Z"}"#, &["1970 to 2261"]),
            (r#"{"message":"m","timestamp":"99999-01-01T00:00:00Z"}"#, &["1970 to 2261"]),
            (r#"{"message":"m","timestamp":1767182400}"#, &["RFC 3339"]),
            (r#"{"message":"m","organizationId":"other"}"#, &["`other`", "`acme`"]),
            (r#"{"message":"a\u0000b"}"#, &["message", "U+0000"]),
            (r#"{"message":"m","attributes":[1]}"#, &["attributes", "object"]),
            (&deep, &["deeper than 32"]),
            (&long, &["service has 300 bytes", "256"]),
        ];
        for (json, words) in cases {
            let reason = reason(json);
            assert!(words.iter().all(|word| reason.contains(word)), "{json}: {reason}");
        }
        let invalid = judge(b"{\"message\":\"\xff\"}", &acme(), Timestamp::now()).unwrap_err();
        assert!(invalid.to_string().contains("byte 12"), "{invalid}");
    }

    #[test]
    fn an_event_of_a_token_for_any_organisation_names_its_own() {
        let named =
            judge(br#"{"message":"m","organizationId":"b"}"#, &Writes::Any, Timestamp::now()).unwrap();
        assert_eq!(named.organization_id.as_str(), "b");
        assert!(judge(br#"{"message":"m"}"#, &Writes::Any, Timestamp::now()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_taken_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = judge(&bytes, &acme(), Timestamp::now());
        }

        #[test]
        fn what_is_taken_reads_back_from_the_wire(message in "\\PC*", attributes in "[a-z\\\\u0-9\"{}:,]{0,30}") {
            let json = format!(r#"{{"message":{},"attributes":{attributes}}}"#, serde_json::to_string(&message).unwrap());
            if let Ok(record) = judge(json.as_bytes(), &acme(), Timestamp::now()) {
                prop_assert_eq!(&LogRecord::from_json(&record.to_json()).unwrap().message, &message);
            }
        }
    }
}
