//! Looks at JSON that is kept as written, without building a value of it.

/// What a store could not keep, in an otherwise well-formed JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Objects and arrays within each other, beyond the limit.
    TooDeep,
    /// The escape of U+0000, which PostgreSQL cannot keep.
    Nul,
    /// Half of a surrogate pair: no character at all.
    LoneSurrogate,
}

/// The first flaw of `json`, which must be well formed.
pub(crate) fn flaw(json: &str, max_depth: usize) -> Option<Flaw> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return Some(Flaw::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => match string_flaw(bytes, at) {
                Ok(end) => at = end,
                Err(flaw) => return Some(flaw),
            },
            _ => {}
        }
    }
    None
}

/// Passes over a string whose opening quote is before `at`; answers the place after its closing quote.
fn string_flaw(bytes: &[u8], mut at: usize) -> Result<usize, Flaw> {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        match unit(bytes, at) {
            None => at += 2,
            Some(0) => return Err(Flaw::Nul),
            Some(0xD800..=0xDBFF) if matches!(unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => return Err(Flaw::LoneSurrogate),
            Some(_) => at += 6,
        }
    }
    Ok(bytes.len())
}

/// The UTF-16 code unit that `\uXXXX` at that place stands for.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn flaws_are_found_where_they_are_and_nowhere_else() {
        let cases = [
            (r#"{"a":[1,{"b":2}]}"#, None),
            (r#"{"a":[1,{"b":[2]}]}"#, Some(Flaw::TooDeep)),
            (r#"{"a":"[[[[[["}"#, None),
            (r#"{"a":"x\u0000"}"#, Some(Flaw::Nul)),
            (r#"{"a\u0000":1}"#, Some(Flaw::Nul)),
            (r#"{"a":"\\u0000"}"#, None),
            (r#"{"a":"\\\u0000"}"#, Some(Flaw::Nul)),
            (r#"{"a":"\ud83e\udd80"}"#, None),
            (r#"{"a":"\ud83e"}"#, Some(Flaw::LoneSurrogate)),
            (r#"{"a":"\udd80\ud83e"}"#, Some(Flaw::LoneSurrogate)),
            (r#"{"a":"\"\u0041"}"#, None),
        ];
        for (json, expected) in cases {
            assert_eq!(flaw(json, 3), expected, "{json}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(Value::Null)
        ];
        leaf.prop_recursive(6, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((".{0,4}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(has_nul),
            Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_parsed_value(value in any_json(), limit in 1..8_usize) {
            let found = flaw(&value.to_string(), limit);
            match found {
                Some(Flaw::TooDeep) => prop_assert!(depth(&value) > limit),
                Some(Flaw::Nul) => prop_assert!(has_nul(&value)),
                Some(Flaw::LoneSurrogate) => prop_assert!(false, "a Rust string holds no lone surrogate"),
                None => prop_assert!(depth(&value) <= limit && !has_nul(&value)),
            }
        }

        #[test]
        fn no_text_panics(text in "[\\\\u0-9a-f\"{}\\[\\]]{0,40}") {
            let _ = flaw(&text, 3);
        }
    }
}
