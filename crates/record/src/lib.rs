//! The log event and its wire form: what travels on the topic and comes back from queries.
//!
//! A [`LogRecord`] is JSON on the topic, one Kafka record an event, keyed by its [`OrganizationId`]. This crate
//! knows the fields, their limits and the names of the record headers. It does no IO.

pub mod headers;
mod level;
mod log_record;
mod organization;
mod timestamp;

pub use level::{Level, LevelError};
pub use log_record::{LogRecord, WireError};
pub use organization::{OrganizationError, OrganizationId};
pub use timestamp::{Timestamp, TimestampError};
pub use uuid::Uuid;

/// Limits of one event, the same wherever one is read.
pub mod limits {
    /// Bytes of one event as JSON. Kafka's default `message.max.bytes` is just above it.
    pub const EVENT_BYTES: usize = 1_000_000;
    /// Bytes of `message`.
    pub const MESSAGE_BYTES: usize = 256 * 1024;
    /// Bytes of `service`.
    pub const SERVICE_BYTES: usize = 256;
    /// Bytes of `traceId` and of `spanId`: W3C Trace Context needs 32, other tracers use somewhat longer ones.
    pub const TRACE_BYTES: usize = 128;
    /// Objects and arrays within each other, the event itself being the first.
    pub const DEPTH: usize = 32;
}
