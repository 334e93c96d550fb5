//! Names of the headers that records carry on the topic and on the dead-letter topic.

/// W3C Trace Context of the span that appended the event, when its trace is sampled: <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: &str = "traceparent";

/// Headers of a dead letter: where it came from and why it could not be stored. Values are UTF-8 text.
pub mod dead_letter {
    /// Topic the record was read from.
    pub const TOPIC: &str = "logpipeline.dead-letter.topic";
    /// Partition the record was read from, decimal.
    pub const PARTITION: &str = "logpipeline.dead-letter.partition";
    /// Offset the record was read at, decimal.
    pub const OFFSET: &str = "logpipeline.dead-letter.offset";
    /// When the record was appended to that topic, milliseconds since 1970, decimal.
    pub const TIMESTAMP: &str = "logpipeline.dead-letter.timestamp";
    /// Why the record was refused, one line.
    pub const REASON: &str = "logpipeline.dead-letter.reason";
    /// SQLSTATE of the refusal, when it was PostgreSQL that refused.
    pub const SQLSTATE: &str = "logpipeline.dead-letter.sqlstate";
    /// How often storing it was tried, decimal.
    pub const ATTEMPTS: &str = "logpipeline.dead-letter.attempts";
}
