//! Judges one event as a client sent it.

use crate::json_text::{Flaw, flaw};
use bytes::Bytes;
use record::{Level, LogRecord, OrganizationId, Timestamp, Uuid, limits};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// An event that is taken.
#[derive(Debug, Clone)]
pub struct Event {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What goes to the topic, one line: the event as it came when it is complete, else written anew with what was
    /// left out.
    pub payload: Bytes,
}

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
    #[serde(borrow)]
    service: Option<Text<'a>>,
    message: Text<'a>,
    trace_id: Option<Text<'a>>,
    span_id: Option<Text<'a>>,
    attributes: Option<&'a RawValue>,
}

impl Draft<'_> {
    /// Whether [`LogRecord`] reads it from the same bytes.
    fn is_complete(&self) -> bool {
        self.id.is_some()
            && self.organization_id.is_some()
            && self.timestamp.is_some()
            && self.level.is_some()
            && self.service.is_some()
    }
}

/// A string, borrowed from the JSON unless it has escapes; serde does not borrow within an `Option` by itself.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Reads one event and fills in what the client left out: a new id, the token's organisation, `now`, `INFO`.
///
/// # Errors
/// [`Refusal`] when it breaks a rule; the text names the field.
pub fn judge(event: Bytes, writes: &Writes, now: Timestamp) -> Result<Event, Refusal> {
    let json = &event[..];
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
    check_text("message", &draft.message, limits::MESSAGE_BYTES)?;
    for (name, text, limit) in [
        ("service", &draft.service, limits::SERVICE_BYTES),
        ("traceId", &draft.trace_id, limits::TRACE_BYTES),
        ("spanId", &draft.span_id, limits::TRACE_BYTES),
    ] {
        text.iter().try_for_each(|text| check_text(name, text, limit))?;
    }
    draft.attributes.map_or(Ok(()), check_attributes)?;
    let organization_id = organization(draft.organization_id.as_ref(), writes)?;
    let payload = match draft.is_complete() {
        true => event,
        false => complete(draft, organization_id.clone(), now).to_json().into(),
    };
    Ok(Event { organization_id, payload: one_line(payload) })
}

/// In JSON a line break is white space: within a string it is an escape (RFC 8259, section 7).
fn one_line(json: Bytes) -> Bytes {
    match memchr::memchr2(b'\n', b'\r', &json) {
        None => json,
        Some(_) => json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect(),
    }
}

fn complete(draft: Draft<'_>, organization_id: OrganizationId, now: Timestamp) -> LogRecord {
    let owned = |text: Text<'_>| text.0.into_owned();
    LogRecord {
        id: draft.id.unwrap_or_else(Uuid::now_v7),
        organization_id,
        timestamp: draft.timestamp.unwrap_or(now),
        level: draft.level.unwrap_or(Level::Info),
        service: draft.service.map_or_else(|| "unknown".into(), owned),
        message: owned(draft.message),
        trace_id: draft.trace_id.map(owned),
        span_id: draft.span_id.map(owned),
        attributes: draft.attributes.map(ToOwned::to_owned),
    }
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

fn organization(named: Option<&OrganizationId>, writes: &Writes) -> Result<OrganizationId, Refusal> {
    match (named, writes) {
        (None, Writes::Only(own)) => Ok(own.clone()),
        (Some(theirs), Writes::Only(own)) if theirs != own => {
            Err(Refusal::Foreign { theirs: theirs.clone(), own: own.clone() })
        }
        (Some(named), _) => Ok(named.clone()),
        (None, Writes::Any) => {
            refuse("the token is for any organisation: the event must say organizationId".into())
        }
    }
}

fn check_text(name: &str, text: &Text<'_>, limit: usize) -> Result<(), Refusal> {
    let text = &*text.0;
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

    fn judged(json: &str, writes: &Writes, now: Timestamp) -> Result<Event, Refusal> {
        judge(Bytes::copy_from_slice(json.as_bytes()), writes, now)
    }

    fn reason(json: &str) -> String {
        judged(json, &acme(), Timestamp::now()).unwrap_err().to_string()
    }

    fn on_topic(event: &Event) -> LogRecord {
        LogRecord::from_json(&event.payload).unwrap()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let now = Timestamp::now();
        let event = judged(r#"{"message":"hi"}"#, &acme(), now).unwrap();
        let record = on_topic(&event);
        assert_eq!((record.timestamp, record.level, record.service.as_str()), (now, Level::Info, "unknown"));
        assert_eq!((record.organization_id.as_str(), event.organization_id.as_str()), ("acme", "acme"));
        assert_eq!(record.id.get_version_num(), 7);
    }

    const COMPLETE: &str = concat!(
        r#"{"message":"hi \u00e9","id":"01936d3c-5a00-7000-8000-000000000001","service":"s", "#,
        r#""timestamp":"2026-01-31T13:00:00+01:00","level":"warning","organizationId":"acme","traceId":null}"#
    );

    #[test]
    fn a_complete_event_goes_on_as_it_came_and_is_read_like_one_written_anew() {
        let now = Timestamp::now();
        let event = judged(COMPLETE, &acme(), now).unwrap();
        assert_eq!(event.payload, COMPLETE);
        assert_eq!(event.organization_id.as_str(), "acme");
        let anew = complete(serde_json::from_str(COMPLETE).unwrap(), event.organization_id.clone(), now);
        assert_eq!(on_topic(&event).to_json(), anew.to_json());
        for field in ["id", "organizationId", "timestamp", "level", "service"] {
            let mut fields: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(COMPLETE).unwrap();
            fields[field] = serde_json::Value::Null;
            let json = serde_json::to_string(&fields).unwrap();
            let event = judged(&json, &acme(), now).unwrap();
            assert_ne!(event.payload, json, "{field} is missing");
            assert_eq!(on_topic(&event).message, "hi \u{e9}");
        }
    }

    #[test]
    fn an_event_of_several_lines_goes_to_the_topic_as_one() {
        for json in [COMPLETE, r#"{"message":"m","attributes":{"a": 1}}"#] {
            let lines = json.replace(' ', "\r\n").replace("hi\r\n", "hi ");
            let event = judged(&lines, &acme(), Timestamp::now()).unwrap();
            assert!(memchr::memchr2(b'\n', b'\r', &event.payload).is_none(), "{:?}", event.payload);
            assert_eq!(
                on_topic(&event).message,
                on_topic(&judged(json, &acme(), Timestamp::now()).unwrap()).message
            );
        }
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
        let invalid = Bytes::from_static(b"{\"message\":\"\xff\"}");
        let invalid = judge(invalid, &acme(), Timestamp::now()).unwrap_err();
        assert!(invalid.to_string().contains("byte 12"), "{invalid}");
    }

    #[test]
    fn an_event_of_a_token_for_any_organisation_names_its_own() {
        let now = Timestamp::now();
        let named = judged(r#"{"message":"m","organizationId":"b"}"#, &Writes::Any, now).unwrap();
        assert_eq!((named.organization_id.as_str(), on_topic(&named).organization_id.as_str()), ("b", "b"));
        assert!(judged(r#"{"message":"m"}"#, &Writes::Any, now).is_err());
        assert!(judged(COMPLETE, &Writes::Only("other".parse().unwrap()), now).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = judge(bytes.into(), &acme(), Timestamp::now());
        }

        #[test]
        fn what_is_taken_reads_back_from_the_topic(
            message in "\\PC*",
            attributes in "[a-z\\\\u0-9\"{}:,]{0,30}",
            rest in prop_oneof![
                Just(""),
                Just(r#","organizationId":"acme","service":"s","level":"INFO","timestamp":"2026-01-31T12:00:00Z","id":"01936d3c-5a00-7000-8000-000000000001""#)
            ],
        ) {
            let text = serde_json::to_string(&message).unwrap();
            for attributes in [format!(r#","attributes":{attributes}"#), String::new()] {
                let json = format!(r#"{{"message":{text}{attributes}{rest}}}"#);
                if let Ok(event) = judged(&json, &acme(), Timestamp::now()) {
                    prop_assert_eq!(&on_topic(&event).message, &message);
                } else {
                    prop_assert!(!attributes.is_empty() || message.contains('\0'), "{} is refused", json);
                }
            }
        }
    }
}
