//! Names of the headers that records carry on the topic and on the dead-letter topic.

/// W3C Trace Context of the request that brought the event: <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: &str = "traceparent";

/// Whether a text is a `traceparent`: version, trace id, span id and flags in lower-case hexadecimal, neither id zero. A
/// version after 00 may have more behind them.
pub fn is_traceparent(text: &str) -> bool {
    const LENGTHS: [usize; 4] = [2, 32, 16, 2];
    const LONGEST: usize = 256;
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.split('-');
    let known: Vec<&str> = parts.by_ref().take(LENGTHS.len()).collect();
    let is_shaped = known.iter().map(|part| part.len()).eq(LENGTHS) && known.iter().all(|part| hex(part));
    is_shaped
        && known[0] != "ff"
        && (known[0] != "00" || parts.next().is_none())
        && text.len() <= LONGEST
        && known[1..3].iter().all(|id| id.bytes().any(|byte| byte != b'0'))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_what_the_standard_says() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert!(is_traceparent(good) && is_traceparent(later));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
