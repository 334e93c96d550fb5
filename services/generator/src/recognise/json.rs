//! Lines that are JSON objects, as many loggers write them.

use super::{Recognised, level, time};
use record::{Level, Timestamp};
use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// A longer line is kept as text: its fields might not fit an event.
const LONGEST_OBJECT: usize = 600_000;
/// Nesting that an event's attributes may have, themselves and the event counted off.
const DEEPEST: usize = record::limits::DEPTH - 2;
const MOST_FIELDS: usize = 512;

/// The fields of an object that has a message.
#[derive(Debug, Default)]
pub(crate) struct JsonFields<'a> {
    pub(crate) message: Cow<'a, str>,
    pub(crate) trace_id: Option<Cow<'a, str>>,
    pub(crate) span_id: Option<Cow<'a, str>>,
    /// What is not one of the known fields, as written.
    pub(crate) rest: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl PartialEq for JsonFields<'_> {
    fn eq(&self, other: &Self) -> bool {
        let rest = |fields: &Self| {
            fields.rest.iter().map(|(k, v)| (k.to_string(), v.get().to_owned())).collect::<Vec<_>>()
        };
        (&self.message, &self.trace_id, &self.span_id) == (&other.message, &other.trace_id, &other.span_id)
            && rest(self) == rest(other)
    }
}

/// Members of an object in their order, keys unescaped, values as written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Reads the line as a JSON object. `None` when it is none, or when an event cannot hold its fields as they are: too
/// many or too deep ones, the same key twice, U+0000, numbers beyond 64-bit floats. Then the line is kept as text.
pub(super) fn object(text: &str, now: Timestamp) -> Option<Recognised<'_>> {
    if text.len() > LONGEST_OBJECT {
        return None;
    }
    let Members(members) = members(text).ok()?;
    let mut recognised = Recognised::default();
    let mut fields = JsonFields::default();
    let mut message = None;
    for (key, value) in members {
        let taken = match canonical(&key) {
            Some(Field::Time) => put(&mut recognised.timestamp, timestamp(value, now)),
            Some(Field::Level) => put(&mut recognised.level, level(value)),
            Some(Field::Message) => put(&mut message, string(value)),
            Some(Field::Service) => put(&mut recognised.service, string(value).filter(|name| is_name(name))),
            Some(Field::Trace) => put(&mut fields.trace_id, string(value).filter(|id| is_trace(id))),
            Some(Field::Span) => put(&mut fields.span_id, string(value).filter(|id| is_trace(id))),
            None => false,
        };
        if !taken {
            if !fits_attributes(value) {
                return None;
            }
            fields.rest.push((key, value));
        }
    }
    let fits = |text: &Cow<'_, str>| {
        !text.trim().is_empty() && !text.contains('\0') && text.len() <= record::limits::MESSAGE_BYTES
    };
    // Without a message of its own, the whole line is the message.
    if let Some(message) = message.filter(fits) {
        fields.message = message;
        recognised.json = Some(fields);
    }
    Some(recognised)
}

/// Fields that loggers agree on, under the names that they use.
#[derive(Clone, Copy)]
enum Field {
    Time,
    Level,
    Message,
    Service,
    Trace,
    Span,
}

fn canonical(key: &str) -> Option<Field> {
    Some(match key {
        "timestamp" | "@timestamp" | "time" | "ts" | "datetime" => Field::Time,
        "level" | "severity" | "lvl" | "loglevel" | "levelname" | "log.level" | "severityText" => {
            Field::Level
        }
        "message" | "msg" | "log" | "body" => Field::Message,
        "service" | "service.name" | "app" | "application" => Field::Service,
        "traceId" | "trace_id" | "trace.id" => Field::Trace,
        "spanId" | "span_id" | "span.id" => Field::Span,
        _ => return None,
    })
}

/// Fills an empty place; a second field of the same meaning stays an attribute.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let fills = place.is_none() && value.is_some();
    if fills {
        *place = value;
    }
    fills
}

fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if text.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(text))
    }
}

fn timestamp(value: &RawValue, now: Timestamp) -> Option<Timestamp> {
    match string(value) {
        Some(text) => {
            let text = text.trim();
            let whole = |(time, taken): (Timestamp, usize)| (taken == text.len()).then_some(time);
            let bytes = text.as_bytes();
            time::iso(bytes)
                .and_then(whole)
                .or_else(|| time::epoch(bytes).and_then(whole))
                .or_else(|| time::access(bytes).and_then(whole))
                .or_else(|| time::syslog(bytes, now).and_then(whole))
        }
        None => time::epoch(value.get().as_bytes()).map(|(time, _)| time),
    }
}

fn level(value: &RawValue) -> Option<Level> {
    match string(value) {
        Some(text) => level::named(text.trim()),
        None => value.get().parse().ok().and_then(level::of_bunyan_number),
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(char::is_control)
}

fn is_trace(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= record::limits::TRACE_BYTES
        && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the gateway takes the value as it is. The scanner that found its end checked less than a reader does.
fn fits_attributes(value: &RawValue) -> bool {
    let text = value.get();
    let plain_string = text.starts_with('"') && !text.contains('\\');
    plain_string || serde_json::from_str(text).is_ok_and(|value| fits(&value, DEEPEST))
}

fn fits(value: &serde_json::Value, depth: usize) -> bool {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => !text.contains('\0'),
        Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Object(items) => {
            depth > 0 && items.iter().all(|(key, item)| !key.contains('\0') && fits(item, depth - 1))
        }
        _ => true,
    }
}

fn members(text: &str) -> Result<Members<'_>, serde_json::Error> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
            let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
            while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                let unusable = key.contains('\0') || members.iter().any(|(known, _)| *known == key);
                if unusable || members.len() == MOST_FIELDS {
                    return Err(A::Error::custom("keys that an event cannot hold"));
                }
                members.push((key, value));
            }
            Ok(Members(members))
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_map(Read)?;
    reader.end()?;
    Ok(members)
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key<'de>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Recognised<'_>> {
        object(text, "2026-06-01T00:00:00Z".parse().unwrap())
    }

    fn rest<'a>(fields: &'a JsonFields<'_>) -> Vec<(&'a str, &'a str)> {
        fields.rest.iter().map(|(key, value)| (key.as_ref(), value.get())).collect()
    }

    #[test]
    fn known_fields_are_taken_and_the_rest_stays_as_written() {
        let line = r#"{"ts":"2026-01-31T12:00:00.5Z","level":"warning","msg":"slow \"query\"","service":"shop",
            "trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","n":12.50,"deep":{"a": [1]},"é":"x"}"#;
        let recognised = read(line).unwrap();
        assert_eq!(recognised.timestamp.unwrap().to_string(), "2026-01-31T12:00:00.5Z");
        assert_eq!((recognised.level, recognised.service.as_deref()), (Some(Level::Warn), Some("shop")));
        let fields = recognised.json.unwrap();
        assert_eq!(fields.message, "slow \"query\"");
        assert_eq!(fields.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(rest(&fields), [("n", "12.50"), ("deep", r#"{"a": [1]}"#), ("é", "\"x\"")]);
    }

    #[test]
    fn times_and_levels_may_be_numbers() {
        for (line, time) in [
            (r#"{"time":1769860800,"level":50,"msg":"x"}"#, "2026-01-31T12:00:00Z"),
            (r#"{"time":1769860800.25,"level":50,"msg":"x"}"#, "2026-01-31T12:00:00.25Z"),
            (r#"{"time":1769860800250,"level":50,"msg":"x"}"#, "2026-01-31T12:00:00.25Z"),
        ] {
            let recognised = read(line).unwrap();
            assert_eq!(recognised.timestamp.unwrap().to_string(), time, "{line}");
            assert_eq!(recognised.level, Some(Level::Error));
        }
    }

    #[test]
    fn a_field_that_is_not_what_its_name_says_stays_an_attribute() {
        let recognised =
            read(r#"{"time":"noon","level":"loud","message":"m","msg":"second","service":7}"#).unwrap();
        assert_eq!((recognised.timestamp, recognised.level, recognised.service), (None, None, None));
        let fields = recognised.json.unwrap();
        let expected = [("time", "\"noon\""), ("level", "\"loud\""), ("msg", "\"second\""), ("service", "7")];
        assert_eq!((fields.message.as_ref(), rest(&fields)), ("m", expected.to_vec()));
    }

    #[test]
    fn an_object_without_a_message_is_kept_whole_with_its_time_and_level() {
        let recognised = read(r#"{"ts":1769860800,"level":"error","event":"x"}"#).unwrap();
        assert!(recognised.json.is_none());
        assert_eq!(recognised.level, Some(Level::Error));
        assert!(recognised.timestamp.is_some());
    }

    #[test]
    fn what_an_event_cannot_hold_is_text() {
        let deep = format!(r#"{{"msg":"m","d":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        let lines = [
            r#"{"msg":"m","a":1,"a":2}"#,
            r#"{"msg":"m","a":"\u0000"}"#,
            r#"{"msg":"m","a":"\ud800"}"#,
            r#"{"msg":"m","a":1e999}"#,
            r#"{"msg":"m"} trailing"#,
            r#"{"msg":"m""#,
            "{}x",
            &deep,
        ];
        for line in lines {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
