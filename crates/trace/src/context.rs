//! `traceparent`, as W3C Trace Context level 2 writes it.

use http::HeaderValue;
use std::num::{NonZeroU64, NonZeroU128};

/// Bytes of a `traceparent` of version 00.
const BYTES: usize = 55;
/// Longest one that is looked at: a later version may have more behind what is known.
const LONGEST: usize = 256;
/// The trace is recorded.
const SAMPLED: u8 = 0b01;
/// The trace id was made at random: <https://www.w3.org/TR/trace-context-2/#random-trace-id-flag>.
const RANDOM: u8 = 0b10;

/// A span and its trace, as they are told to who comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
}

impl Context {
    /// A trace of its own; `sample` decides by its id.
    pub(crate) fn begin(sample: impl FnOnce(u128) -> bool) -> Context {
        let trace_id = NonZeroU128::new(rand::random()).unwrap_or(NonZeroU128::MIN);
        let sampled = if sample(trace_id.get()) { SAMPLED } else { 0 };
        Context { trace_id, span_id: span_id(), flags: RANDOM | sampled }
    }

    /// Another span of the same trace.
    pub(crate) fn child(self) -> Context {
        Context { span_id: span_id(), ..self }
    }

    /// Reads a `traceparent`; `None` when it is not exactly what the standard says, which is to be as if there were none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Context> {
        let known: &[u8; BYTES] = text.first_chunk()?;
        let (version, rest) = (hex(&known[..2])?, &text[BYTES..]);
        let length_is_right = match version {
            0x00 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || (rest[0] == b'-' && text.len() <= LONGEST),
        };
        if !length_is_right || [2, 35, 52].iter().any(|at| known[*at] != b'-') {
            return None;
        }
        let flags = u8::try_from(hex(&known[53..])?).ok()?;
        Some(Context {
            trace_id: NonZeroU128::new(hex(&known[3..35])?)?,
            span_id: NonZeroU64::new(u64::try_from(hex(&known[36..52])?).ok()?)?,
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    /// Whether a `traceparent` says that its trace is sampled; looks at its end only, and is wrong about what is none.
    #[must_use]
    pub fn claims_to_be_sampled(text: &[u8]) -> bool {
        text.get(BYTES - 1)
            .is_some_and(|digit| matches!(digit, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
    }

    /// The `traceparent`, of version 00.
    #[must_use]
    pub fn encode(self) -> [u8; BYTES] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(self.trace_id.get(), &mut text[3..35]);
        write_hex(self.span_id.get().into(), &mut text[36..52]);
        write_hex(self.flags.into(), &mut text[53..]);
        text
    }

    /// As the value of a header.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.encode())
            .expect("digits and hyphens are a part of what headers may hold")
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(self) -> u128 {
        self.trace_id.get()
    }

    /// The span within the trace.
    #[must_use]
    pub fn span_id(self) -> u64 {
        self.span_id.get()
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn flags(self) -> u8 {
        self.flags
    }
}

fn span_id() -> NonZeroU64 {
    NonZeroU64::new(rand::random()).unwrap_or(NonZeroU64::MIN)
}

/// At most 32 digits; the standard has no capitals.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn write_hex(mut number: u128, digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number & 0xf) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written() {
        let context = Context::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(context.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(context.is_sampled());
        assert_eq!(context.encode(), GOOD.as_bytes());
        assert_eq!(context.header(), GOOD);
    }

    #[test]
    fn flags_that_nobody_knows_are_not_passed_on() {
        for (flags, told, sampled) in
            [("00", "00", false), ("02", "02", false), ("ff", "03", true), ("fc", "00", false)]
        {
            let text = format!("{}{flags}", &GOOD[..53]);
            let context = Context::parse(text.as_bytes()).unwrap();
            assert_eq!((&context.encode()[53..], context.is_sampled()), (told.as_bytes(), sampled));
            assert_eq!(Context::claims_to_be_sampled(text.as_bytes()), sampled);
        }
    }

    #[test]
    fn a_later_version_may_have_more_behind() {
        let later = |rest: &str| Context::parse(format!("01{}{rest}", &GOOD[2..]).as_bytes());
        let known = Context::parse(GOOD.as_bytes());
        assert_eq!((later(""), later("-what-comes"), later("-")), (known, known, known));
        assert_eq!((later("what-comes"), later(&format!("-{}", "x".repeat(LONGEST)))), (None, None));
    }

    #[test]
    fn what_the_standard_does_not_say_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
        ] {
            assert_eq!(Context::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id in 1_u128.., span_id in 1_u64.., flags in 0_u8..4) {
            let context = Context {
                trace_id: NonZeroU128::new(trace_id).unwrap(), span_id: NonZeroU64::new(span_id).unwrap(), flags,
            };
            let text = context.encode();
            prop_assert_eq!(String::from_utf8_lossy(&text), format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}"));
            prop_assert_eq!(Context::parse(&text), Some(context));
            prop_assert_eq!(Context::claims_to_be_sampled(&text), context.is_sampled());
        }

        /// Whatever the bytes are: what is taken is written as it came, but for flags that nobody knows.
        #[test]
        fn nothing_is_taken_that_would_be_written_otherwise(
            at in 0_usize..55, byte in any::<u8>(), noise in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut text = GOOD.as_bytes().to_vec();
            text[at] = byte;
            for text in [text, noise] {
                if let Some(context) = Context::parse(&text) {
                    prop_assert_eq!(&context.encode()[2..53], &text[2..53]);
                    prop_assert!(text[0] != 0xff && text.len() >= BYTES);
                }
            }
        }
    }
}
