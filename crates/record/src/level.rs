//! Severity of an event.

use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// Severity, from least to most severe; the six short names of the OpenTelemetry log data model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Level {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Fatal = 5,
}

/// The text is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("level `{0}` is unknown; use one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL")]
pub struct LevelError(String);

impl Level {
    /// All levels, least severe first.
    pub const ALL: [Level; 6] =
        [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    /// The name on the wire, upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    /// The number a store keeps, 0 to 5; larger is more severe.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The level with that number, if there is one.
    pub fn from_number(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any case, and the names that syslog (RFC 5424), log4j, Python and Apache use for the same severities.
impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Level, LevelError> {
        const NAMES: [(&str, Level); 21] = [
            ("INFO", Level::Info),
            ("WARN", Level::Warn),
            ("ERROR", Level::Error),
            ("DEBUG", Level::Debug),
            ("TRACE", Level::Trace),
            ("FATAL", Level::Fatal),
            ("WARNING", Level::Warn),
            ("ERR", Level::Error),
            ("NOTICE", Level::Info),
            ("INFORMATION", Level::Info),
            ("INFORMATIONAL", Level::Info),
            ("CRITICAL", Level::Fatal),
            ("CRIT", Level::Fatal),
            ("ALERT", Level::Fatal),
            ("EMERG", Level::Fatal),
            ("EMERGENCY", Level::Fatal),
            ("PANIC", Level::Fatal),
            ("SEVERE", Level::Error),
            ("FINE", Level::Debug),
            ("FINEST", Level::Trace),
            ("VERBOSE", Level::Trace),
        ];
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, level)| *level)
            .ok_or_else(|| LevelError(text.chars().take(40).collect()))
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        struct Name;
        impl serde::de::Visitor<'_> for Name {
            type Value = Level;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level name such as \"INFO\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Level, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_from_its_name_and_number() {
        for level in Level::ALL {
            assert_eq!(level.as_str().to_lowercase().parse(), Ok(level));
            assert_eq!(Level::from_number(level.number()), Some(level));
        }
        assert_eq!(Level::from_number(6), None);
    }

    #[test]
    fn an_unknown_level_is_named_in_the_error() {
        let error = "LOUD".parse::<Level>().unwrap_err().to_string();
        assert!(error.contains("`LOUD`") && error.contains("FATAL"), "{error}");
    }
}
