//! One line of a file as one event.

use super::lines::Line;
use crate::{batch::Batch, ids::Ids, recognise::Context};
use record::{Level, Timestamp, Uuid, limits};
use std::{borrow::Cow, io::Write as _};

/// A message may take so many bytes as JSON: an event's other fields still fit beside it.
const MESSAGE_JSON_BYTES: usize = limits::EVENT_BYTES * 6 / 10;

/// Makes events of lines.
pub(super) struct Encoder {
    context: Context,
    ids: Ids,
    /// The service of lines that name none.
    default_service: String,
    /// Whether that is the service of all lines.
    one_service: bool,
    /// The organisation that events name; with a token for one organisation they name none.
    organisation: Option<String>,
    first: bool,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoded {
    /// It is an event.
    Whole,
    /// It is an event, cut to what an event can hold.
    Truncated,
    /// It had nothing but white space.
    Empty,
}

impl Encoder {
    /// `service` is the service of every line; without it lines may name theirs, others have `default_service`.
    pub(super) fn new(
        service: Option<String>,
        default_service: String,
        organisation: Option<String>,
        ids: Ids,
    ) -> Encoder {
        let one_service = service.is_some();
        let default_service = service.unwrap_or(default_service);
        let context = Context::new(Timestamp::now());
        Encoder { context, ids, default_service, one_service, organisation, first: true }
    }

    /// Appends the line's event to the batch, at `now_millis` since 1970.
    pub(super) fn push(&mut self, batch: &mut Batch, line: &Line<'_>, now_millis: u64) -> Encoded {
        let bytes = match line.bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(after_mark) if self.first => after_mark,
            _ => line.bytes,
        };
        self.first = false;
        if bytes.trim_ascii().is_empty() && line.dropped == 0 {
            return Encoded::Empty;
        }
        let decoded = Decoded::new(bytes, line.dropped > 0);
        let (recognised, timestamp, level) = self.context.read(&decoded.text);
        let json = recognised.json.as_ref();
        let message = json.map_or(decoded.text.as_ref(), |fields| fields.message.as_ref());
        let kept = fitting(message);
        let truncated = line.dropped > 0 || kept < message.len();
        let event = Event {
            id: self.ids.next(now_millis),
            timestamp,
            level,
            service: match &recognised.service {
                Some(service) if !self.one_service => cut(service, limits::SERVICE_BYTES),
                _ => &self.default_service,
            },
            organisation: self.organisation.as_deref(),
            message: &message[..kept],
        };
        let original = truncated.then_some(bytes.len() as u64 + line.dropped);
        batch.push(event.id, |body| {
            event.write(body);
            if let Some(fields) = json {
                write_optional(body, "traceId", fields.trace_id.as_deref());
                write_optional(body, "spanId", fields.span_id.as_deref());
            }
            let mut attributes = Attributes { body, any: false };
            for (key, value) in json.map_or(&[][..], |fields| &fields.rest) {
                attributes.write(key, value.get());
            }
            if let Some(host) = recognised.host {
                attributes.write_text("host", cut(host, limits::SERVICE_BYTES));
            }
            decoded.note(&mut attributes);
            if let Some(bytes) = original {
                attributes.write("truncated", "true");
                attributes.write("originalBytes", &bytes.to_string());
            }
            attributes.end();
        });
        if truncated { Encoded::Truncated } else { Encoded::Whole }
    }
}

/// A line's text, and what had to be replaced for it to be one.
struct Decoded<'a> {
    text: Cow<'a, str>,
    invalid_utf8: bool,
    nul: bool,
}

impl<'a> Decoded<'a> {
    /// Invalid UTF-8 and U+0000 become U+FFFD. A character that the cut end of a line halved is left out.
    fn new(bytes: &'a [u8], cut: bool) -> Decoded<'a> {
        let whole = match std::str::from_utf8(bytes) {
            Err(error) if cut && error.error_len().is_none() => &bytes[..error.valid_up_to()],
            _ => bytes,
        };
        let text = String::from_utf8_lossy(whole);
        let invalid_utf8 = matches!(text, Cow::Owned(_));
        let nul = memchr::memchr(0, text.as_bytes()).is_some();
        let text = if nul { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text };
        Decoded { text, invalid_utf8, nul }
    }

    fn note(&self, attributes: &mut Attributes<'_>) {
        if self.invalid_utf8 {
            attributes.write("invalidUtf8", "true");
        }
        if self.nul {
            attributes.write("nulReplaced", "true");
        }
    }
}

/// The fields that every event has.
struct Event<'a> {
    id: Uuid,
    timestamp: Timestamp,
    level: Level,
    service: &'a str,
    organisation: Option<&'a str>,
    message: &'a str,
}

impl Event<'_> {
    /// The event's JSON without its closing brace.
    fn write(&self, body: &mut Vec<u8>) {
        let written = write!(
            body,
            "{{\"id\":\"{}\",\"timestamp\":\"{}\",\"level\":\"{}\",\"service\":",
            self.id, self.timestamp, self.level
        );
        written.expect("memory takes all writes");
        write_json(body, self.service);
        write_optional(body, "organizationId", self.organisation);
        body.extend_from_slice(b",\"message\":");
        write_json(body, self.message);
    }
}

/// Writes the members of `attributes`, and the object only when there is one.
struct Attributes<'a> {
    body: &'a mut Vec<u8>,
    any: bool,
}

impl Attributes<'_> {
    /// `json` is the value as JSON.
    fn write(&mut self, key: &str, json: &str) {
        self.begin(key);
        self.body.extend_from_slice(json.as_bytes());
    }

    fn write_text(&mut self, key: &str, text: &str) {
        self.begin(key);
        write_json(self.body, text);
    }

    fn begin(&mut self, key: &str) {
        self.body.extend_from_slice(if self.any { b"," } else { b",\"attributes\":{" });
        self.any = true;
        write_json(self.body, key);
        self.body.push(b':');
    }

    /// Closes the attributes and the event.
    fn end(self) {
        self.body.extend_from_slice(if self.any { b"}}" } else { b"}" });
    }
}

fn write_json(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("memory takes all writes");
}

fn write_optional(body: &mut Vec<u8>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        body.extend_from_slice(b",\"");
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(b"\":");
        write_json(body, text);
    }
}

/// The text's beginning of at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// How many bytes of a message fit an event: at most the message limit, and not too many when written as JSON.
fn fitting(message: &str) -> usize {
    let most = message.floor_char_boundary(limits::MESSAGE_BYTES);
    if most * 6 <= MESSAGE_JSON_BYTES {
        return most;
    }
    let mut written = 0;
    for (at, byte) in message[..most].bytes().enumerate() {
        written += match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..0x20 => 6,
            _ => 1,
        };
        if written > MESSAGE_JSON_BYTES {
            return message.floor_char_boundary(at);
        }
    }
    most
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
