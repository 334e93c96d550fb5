//! `tracestate`: passed on as it came, when it is one.

use http::HeaderValue;

/// Most members that are passed on: <https://www.w3.org/TR/trace-context-2/#list>.
const MEMBERS: usize = 32;
/// Longest text that is passed on. The standard asks for 512 bytes at least.
const BYTES: usize = 1024;

/// Whether these headers, read as one list, are a `tracestate`.
pub(crate) fn is_good<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> bool {
    let (mut keys, mut bytes): (Vec<&[u8]>, usize) = (Vec::new(), 0);
    for value in values {
        bytes += value.len();
        if bytes > BYTES {
            return false;
        }
        for member in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
            let (key, value) = (&member[..at], &member[at + 1..]);
            if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MEMBERS {
                return false;
            }
            keys.push(key);
        }
    }
    true
}

fn is_key(key: &[u8]) -> bool {
    let begins = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let goes_on = |byte: &u8| begins(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= 256 && key.first().is_some_and(begins) && key.iter().all(goes_on)
}

fn is_value(value: &[u8]) -> bool {
    let is_printed = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(is_printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(values: &[&str]) -> bool {
        let values: Vec<HeaderValue> =
            values.iter().map(|value| HeaderValue::from_str(value).unwrap()).collect();
        is_good(values.iter())
    }

    #[test]
    fn lists_of_the_standard_are_good() {
        for list in [
            &["rojo=00f067aa0ba902b7"][..],
            &["a=1,tenant@system=2 3", "c=4"],
            &["a=1 , b=2,,"],
            &["0a=b/c"],
            &[""],
        ] {
            assert!(good(list), "{list:?}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let many = (0..=MEMBERS).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let (long, longer) = (format!("a={}", "v".repeat(257)), format!("a=1,{}", " ".repeat(BYTES)));
        for list in [
            &["a"][..],
            &["=1"],
            &["a="],
            &["A=1"],
            &["a=1,a=2"],
            &["a=1", "a=2"],
            &["a=b=c"],
            &["_a=1"],
            &[&many],
            &[&long],
            &[&longer],
        ] {
            assert!(!good(list), "{list:?}");
        }
    }
}
