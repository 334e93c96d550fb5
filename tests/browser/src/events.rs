//! Events to send.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// An event of now.
pub fn event(service: &str, level: &str, message: &str) -> Value {
    event_at(Duration::ZERO, service, level, message)
}

/// An event of `ago` before now.
pub fn event_at(ago: Duration, service: &str, level: &str, message: &str) -> Value {
    let timestamp = (Timestamp::now() - ago).to_string();
    json!({ "timestamp": timestamp, "service": service, "level": level, "message": message })
}
