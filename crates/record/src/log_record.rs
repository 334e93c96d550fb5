//! One log event in its wire form.

use crate::{Level, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// One log event, complete: what the producer writes to the topic, the consumer stores and the gateway answers.
///
/// ```
/// let json = br#"{"id":"01936d3c-5a00-7000-8000-000000000001","organizationId":"acme",
///   "timestamp":"2026-01-31T12:00:00Z","level":"INFO","service":"checkout","message":"paid"}"#;
/// let record = record::LogRecord::from_json(json).unwrap();
/// assert_eq!(record.level, record::Level::Info);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogRecord {
    /// UUIDv7, given by the client or by the producer.
    pub id: Uuid,
    /// Whose event it is; the key on the topic.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// How severe it is.
    pub level: Level,
    /// What wrote it: a service, a program, a file.
    pub service: String,
    /// The text, any Unicode but U+0000.
    pub message: String,
    /// Trace the event belongs to, as the client's tracer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Span the event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Fields of the client's own: a JSON object, kept as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Box<RawValue>>,
}

/// The bytes on the topic are no [`LogRecord`].
#[derive(Debug, thiserror::Error)]
#[error("not a log record: {0}")]
pub struct WireError(#[from] serde_json::Error);

impl LogRecord {
    /// Reads the wire form. Fields that this version does not know are passed over, so that an older consumer can
    /// read what a newer producer wrote.
    ///
    /// # Errors
    /// When the bytes are not JSON, or a field is missing or malformed; the message names it with line and column.
    pub fn from_json(bytes: &[u8]) -> Result<LogRecord, WireError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Writes the wire form: JSON without line breaks.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.message.len());
        serde_json::to_writer(&mut bytes, self)
            .expect("a record has string keys only and memory takes all writes");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_reads_back_and_is_one_line() {
        let record = LogRecord {
            id: Uuid::now_v7(),
            organization_id: "acme".parse().unwrap(),
            timestamp: Timestamp::now(),
            level: Level::Warn,
            service: "checkout".into(),
            message: "line one\nline two \u{1F980}".into(),
            trace_id: None,
            span_id: Some("00f067aa0ba902b7".into()),
            attributes: Some(RawValue::from_string(r#"{"amount": 12.50, "n": [1,2]}"#.into()).unwrap()),
        };
        let bytes = record.to_json();
        assert!(!bytes.contains(&b'\n'));
        let back = LogRecord::from_json(&bytes).unwrap();
        assert_eq!(back.to_json(), bytes);
        assert_eq!(back.attributes.unwrap().get(), r#"{"amount": 12.50, "n": [1,2]}"#);
        assert!(!String::from_utf8(bytes).unwrap().contains("traceId"));
    }

    #[test]
    fn a_field_of_a_newer_version_is_passed_over_and_a_missing_one_is_named() {
        let json = br#"{"id":"01936d3c-5a00-7000-8000-000000000001","organizationId":"acme","newer":1,
            "timestamp":"2026-01-31T12:00:00Z","level":"INFO","service":"s","message":"m"}"#;
        assert!(LogRecord::from_json(json).is_ok());
        let error = LogRecord::from_json(br#"{"organizationId":"acme"}"#).unwrap_err().to_string();
        assert!(error.contains("missing field `id`"), "{error}");
    }
}
