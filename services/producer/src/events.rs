//! Splits a request body into events: one JSON object, an array of them, or NDJSON (an object a line).

use serde_json::value::RawValue;

/// The form of a body, by its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The body's first character decides; what clients send that name no type, or JSON.
    Any,
    /// An event a line.
    Lines,
}

/// Why a body cannot be split into events.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing but white space.
    #[error("the body is empty; send a JSON object, an array of them, or one a line")]
    Empty,
    /// Not JSON from some place on.
    #[error("the body is not JSON: {0}; send a JSON object, an array of them, or one a line")]
    NotJson(String),
    /// More events than a request may have.
    #[error("the body has more than {limit} events; send them in several requests")]
    TooMany {
        /// The most that a request may have.
        limit: usize,
    },
}

impl Form {
    /// The form that a `Content-Type` stands for; `None` when no events come in that type.
    pub fn of_content_type(content_type: &str) -> Option<Form> {
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Some(Form::Lines),
            // The last is what `curl -d` says when its user says nothing.
            ""
            | "application/json"
            | "text/json"
            | "text/plain"
            | "application/octet-stream"
            | "application/x-www-form-urlencoded" => Some(Form::Any),
            _ => None,
        }
    }
}

/// The events of `body`, each as its bytes; they are not judged here, and of an array only the borders are read.
///
/// # Errors
/// [`SplitError`] when no events can be told apart, or there are more than `limit`.
pub fn split(body: &[u8], form: Form, limit: usize) -> Result<Vec<&[u8]>, SplitError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace()).ok_or(SplitError::Empty)?;
    let events = match (form, first) {
        (Form::Any, b'[') => array(body)?,
        (Form::Any, b'{') => object_or_lines(body, limit)?,
        (Form::Any, _) => return Err(SplitError::NotJson("it begins with neither `{` nor `[`".into())),
        (Form::Lines, _) => lines(body, limit)?,
    };
    if events.len() > limit { Err(SplitError::TooMany { limit }) } else { Ok(events) }
}

fn array(body: &[u8]) -> Result<Vec<&[u8]>, SplitError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| SplitError::NotJson(format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| SplitError::NotJson(error.to_string()))?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// An object may span lines; when something follows it, each line is an event.
fn object_or_lines(body: &[u8], limit: usize) -> Result<Vec<&[u8]>, SplitError> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(object)) if body[values.byte_offset()..].iter().all(u8::is_ascii_whitespace) => {
            Ok(vec![object.get().as_bytes()])
        }
        _ => lines(body, limit),
    }
}

fn lines(body: &[u8], limit: usize) -> Result<Vec<&[u8]>, SplitError> {
    let mut events = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        let line = line.trim_ascii();
        if !line.is_empty() {
            if events.len() == limit {
                return Err(SplitError::TooMany { limit });
            }
            events.push(line);
        }
        rest = after;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(body: &str, form: Form) -> Vec<&str> {
        split(body.as_bytes(), form, 5)
            .unwrap()
            .into_iter()
            .map(|event| std::str::from_utf8(event).unwrap())
            .collect()
    }

    #[test]
    fn the_three_forms_are_told_apart() {
        assert_eq!(texts("{\n  \"a\": 1\n}\n", Form::Any), ["{\n  \"a\": 1\n}"]);
        assert_eq!(texts(" [ {\"a\":1}, {\"a\":\"]\"} ]", Form::Any), ["{\"a\":1}", "{\"a\":\"]\"}"]);
        assert_eq!(texts("{\"a\":1}\r\n\n{\"b\":2}", Form::Any), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(texts("\u{feff}{\"a\":1}", Form::Any), ["{\"a\":1}"]);
        assert_eq!(texts("[1]\n", Form::Lines), ["[1]"]);
        assert!(texts("[]", Form::Any).is_empty());
    }

    #[test]
    fn one_broken_line_leaves_the_others_whole() {
        assert_eq!(texts("{\"a\":\n{\"b\":2}", Form::Any), ["{\"a\":", "{\"b\":2}"]);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let refused = |body: &str| split(body.as_bytes(), Form::Any, 5).unwrap_err().to_string();
        assert!(refused("").contains("empty"));
        assert!(refused(" \n").contains("empty"));
        assert!(refused("hello").contains("neither"));
        assert!(refused("[{\"a\":1},").contains("line 1 column 9"));
        assert!(refused(&"[".repeat(100_000)).contains("not JSON"));
        assert!(refused(&"{}\n".repeat(6)).contains("more than 5"));
        assert!(refused("[1,2,3,4,5,6]").contains("more than 5"));
        assert!(split(b"[{\"a\":\"\xff\"}]", Form::Any, 5).unwrap_err().to_string().contains("byte 7"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&body, Form::Any, 5);
            let _ = split(&body, Form::Lines, 5);
        }
    }
}
