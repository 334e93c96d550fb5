//! Errors as HTTP answers: RFC 9457 problem details, `application/problem+json`.

use std::any::Any;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

mod panic;

pub use panic::{CatchPanic, CatchPanicLayer, catch_panic};

/// Media type of a problem, RFC 9457 section 6.1.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The members that every problem has; [`Problem::with`] does not replace them.
const BASE_MEMBERS: [&str; 4] = ["type", "title", "status", "detail"];
/// How much of a path an answer repeats, in characters.
const SHOWN_PATH: usize = 200;

/// One problem: a status, what went wrong and what to do about it, and extra members and headers.
///
/// On the wire: `{"type":"about:blank","title":"Payload Too Large","status":413,"detail":"…", …extra members}`; the
/// title is the status's phrase, as RFC 9457 section 4.2.1 asks for `about:blank`. A problem of a registered type has the
/// title of its type.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// URI and title; `None` is `about:blank`.
    type_: Option<(&'static str, &'static str)>,
    detail: String,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem; `detail` says what, where and what to do, for the person who called.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, type_: None, detail: detail.into(), members: Vec::new(), headers: Vec::new() }
    }

    /// Makes it one of a type that is registered with IANA (RFC 9457 section 4.2), by its URI, and its title.
    #[must_use]
    pub fn of_type(mut self, uri: &'static str, title: &'static str) -> Self {
        self.type_ = Some((uri, title));
        self
    }

    /// Adds an extension member (RFC 9457 section 3.2). The four members that every problem has cannot be replaced.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if !BASE_MEMBERS.contains(&name) {
            self.members.push((name, value.into()));
        }
        self
    }

    /// Adds `Retry-After` in whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Sets a header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(BASE_MEMBERS.len() + self.members.len()))?;
        let phrase = self.status.canonical_reason().unwrap_or("Error");
        let (uri, title) = self.type_.unwrap_or(("about:blank", phrase));
        map.serialize_entry("type", uri)?;
        map.serialize_entry("title", title)?;
        map.serialize_entry("status", &self.status.as_u16())?;
        map.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("strings and JSON values always serialise");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// The answer of [`axum::Router::fallback`]: 404.
pub async fn not_found(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {method} {}", shown(uri.path())))
}

/// The answer of [`axum::Router::method_not_allowed_fallback`]: 405; axum adds `Allow`.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!(
        "{} does not answer {method}; the Allow header names the methods it answers",
        shown(uri.path())
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

fn shown(path: &str) -> &str {
    path.char_indices().nth(SHOWN_PATH).map_or(path, |(end, _)| &path[..end])
}

/// What a panic said, when it said it in words.
fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_then_its_own() {
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 10 bytes; send less")
            .with("limit", 10)
            .with("status", 200);
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"about:blank","title":"Payload Too Large","status":413,"detail":"the body is over 10 bytes; send less","limit":10}"#
        );
    }

    #[test]
    fn a_problem_of_a_type_has_its_uri_and_title() {
        let problem =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "come back").of_type("https://types#one", "One");
        assert_eq!(
            serde_json::to_string(&problem.with("type", "another")).unwrap(),
            r#"{"type":"https://types#one","title":"One","status":429,"detail":"come back"}"#
        );
    }

    #[test]
    fn the_answer_carries_media_type_headers_and_whole_seconds_to_wait() {
        let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full")
            .retry_after(Duration::from_millis(1200))
            .with("rejected", json!([]))
            .into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn a_long_path_is_cut_between_characters() {
        let path = format!("/{}", "é".repeat(500));
        assert_eq!(shown(&path).chars().count(), SHOWN_PATH);
        assert_eq!(shown("/short"), "/short");
    }
}
