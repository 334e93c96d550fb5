//! Timestamps of made-up events, written fast.

use record::Timestamp;

/// `2026-01-31T12:00:00.123456789Z`.
const TEXT_BYTES: usize = 30;
/// A batch's events are spread over at most this long before now.
const SPREAD_NANOS: i64 = 1_000_000_000;

/// Spreads the events of a batch evenly between the last batch and now.
pub(super) struct Clock {
    next: i64,
    step: i64,
    /// The second that `text` was written for.
    second: i64,
    text: [u8; TEXT_BYTES],
}

/// One event's time.
pub(super) struct Tick<'a> {
    /// Milliseconds since 1970.
    pub(super) millis: u64,
    /// RFC 3339 with nanoseconds, in UTC.
    pub(super) text: &'a [u8; TEXT_BYTES],
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { next: Timestamp::now().as_nanos(), step: 0, second: -1, text: [b'0'; TEXT_BYTES] }
    }

    /// Prepares for `events` events up to now.
    pub(super) fn advance(&mut self, events: usize) {
        let now = Timestamp::now().as_nanos();
        self.next = self.next.clamp((now - SPREAD_NANOS).max(0), now);
        self.step = (now - self.next) / i64::try_from(events.max(1)).unwrap_or(i64::MAX);
    }

    pub(super) fn next(&mut self) -> Tick<'_> {
        let nanos = self.next;
        self.next += self.step;
        if nanos / 1_000_000_000 != self.second {
            self.second = nanos / 1_000_000_000;
            self.write_second();
        }
        let mut rest = nanos % 1_000_000_000;
        for digit in self.text[20..29].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        Tick { millis: u64::try_from(nanos / 1_000_000).expect("after 1970"), text: &self.text }
    }

    fn write_second(&mut self) {
        let second = Timestamp::from_nanos(self.second * 1_000_000_000).unwrap_or(Timestamp::MAX).to_string();
        self.text[..19].copy_from_slice(&second.as_bytes()[..19]);
        self.text[19] = b'.';
        self.text[29] = b'Z';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_time_in_rfc_3339() {
        for nanos in [0, 1, 999_999_999, 1_000_000_000, 1_790_000_000_123_456_789] {
            let mut clock = Clock { next: nanos, step: 0, second: -1, text: [b'0'; TEXT_BYTES] };
            let text = String::from_utf8(clock.next().text.to_vec()).unwrap();
            assert_eq!(text.parse::<Timestamp>().unwrap().as_nanos(), nanos, "{text}");
        }
    }
}
