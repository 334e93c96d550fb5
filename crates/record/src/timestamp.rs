//! Time of an event: an instant in UTC, to the nanosecond.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr, time::SystemTime};

/// Nanoseconds since 1970-01-01T00:00:00Z; RFC 3339 on the wire, always with `Z` when written.
///
/// The range is 1970-01-01 to 2261-12-31: what a signed 64-bit count of nanoseconds holds, without the years before
/// 1970, which in logs are always a clock or a parser gone wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is no time that an event can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339.
    #[error("timestamp `{0}` is not RFC 3339 with an offset, such as 2026-01-31T12:00:00Z")]
    Malformed(String),
    /// Before 1970 or after 2261.
    #[error("timestamp `{0}` lies outside the years 1970 to 2261")]
    OutOfRange(String),
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(0);
    /// 2261-12-31T23:59:59.999999999Z.
    pub const MAX: Timestamp = Timestamp(9_214_646_399_999_999_999);

    /// The instant `nanoseconds` after 1970-01-01T00:00:00Z, if it is in range.
    pub fn from_nanos(nanoseconds: i64) -> Option<Timestamp> {
        (Self::MIN.0..=Self::MAX.0).contains(&nanoseconds).then_some(Timestamp(nanoseconds))
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn as_nanos(self) -> i64 {
        self.0
    }

    /// The system's clock, cut to the range.
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX).min(Self::MAX.0))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        let shown = || text.chars().take(40).collect::<String>();
        // jiff reads ISO 8601 widely; RFC 3339 has its date and time in fixed places and no more.
        let shape = text.as_bytes();
        let rfc3339 = shape.len() >= 20
            && shape.len() <= 40
            && shape[4] == b'-'
            && matches!(shape[10], b'T' | b't' | b' ')
            && shape[13] == b':'
            && !text.contains('[');
        if !rfc3339 {
            return Err(if out_of_range_year(text) {
                TimestampError::OutOfRange(shown())
            } else {
                TimestampError::Malformed(shown())
            });
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError::Malformed(shown()))?;
        i64::try_from(instant.as_nanosecond())
            .ok()
            .and_then(Timestamp::from_nanos)
            .ok_or_else(|| TimestampError::OutOfRange(shown()))
    }
}

/// Whether the text starts as a date whose year has more than four digits or a sign.
fn out_of_range_year(text: &str) -> bool {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let year = digits.bytes().take_while(u8::is_ascii_digit).count();
    (year > 4 || (sign && year >= 4)) && digits.as_bytes().get(year) == Some(&b'-')
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => instant.fmt(f),
            Err(_) => unreachable!("every Timestamp lies in jiff's range"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string in RFC 3339, such as \"2026-01-31T12:00:00Z\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn years_outside_the_range_are_refused_by_name() {
        for text in [
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999999Z",
            "2262-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "99999-01-01T00:00:00Z",
            "+99999-01-01T00:00:00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(matches!("99999-01-01T00:00:00Z".parse::<Timestamp>(), Err(TimestampError::OutOfRange(_))));
        assert!(matches!("0000-01-01T00:00:00Z".parse::<Timestamp>(), Err(TimestampError::OutOfRange(_))));
    }

    #[test]
    fn only_rfc_3339_is_read() {
        for text in ["", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "20260131T120000Z", "1767182400"] {
            assert!(matches!(text.parse::<Timestamp>(), Err(TimestampError::Malformed(_))), "{text}");
        }
        let utc: Timestamp = "2026-01-31T12:00:00.5Z".parse().unwrap();
        assert_eq!(utc, "2026-01-31T13:30:00.500+01:30".parse().unwrap());
        assert_eq!(utc.to_string(), "2026-01-31T12:00:00.5Z");
    }

    #[test]
    fn the_ends_of_the_range_are_what_their_documentation_says() {
        assert_eq!(Timestamp::MIN.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "2261-12-31T23:59:59.999999999Z");
    }

    proptest! {
        #[test]
        fn every_time_reads_back_as_written(nanos in 0..=Timestamp::MAX.as_nanos()) {
            let time = Timestamp::from_nanos(nanos).unwrap();
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }

        #[test]
        fn no_text_panics(text in ".{0,50}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
