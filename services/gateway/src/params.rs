//! Query parameters of the read routes.

use axum::{
    extract::{FromRequestParts, Query, rejection::QueryRejection},
    http::{StatusCode, request},
};
use process::problem::Problem;
use record::{Level, Timestamp};
use serde::de::DeserializeOwned;

/// [`Query`] whose refusal is a problem that names the parameter.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => Err(bad(error.body_text())),
            Err(other) => Err(bad(other.body_text())),
        }
    }
}

/// 400, with the parameter's trouble as detail.
pub(crate) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// A time; `+` in an offset that came unescaped, as a space, is put right.
pub(crate) fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let unescaped = match text.len().checked_sub(6) {
        Some(at) if text.as_bytes()[at] == b' ' && text.is_char_boundary(at) => {
            format!("{}+{}", &text[..at], &text[at + 1..])
        }
        _ => text.to_owned(),
    };
    unescaped.parse().map(Some).map_err(|error| bad(format!("{name}: {error}")))
}

/// Levels separated by commas.
pub(crate) fn levels(text: Option<&str>) -> Result<Vec<Level>, Problem> {
    let names = text.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(|error| bad(format!("level: {error}")))).collect()
}

/// A length of time such as `30s`, `5m`, `1h`, `1d`, in whole seconds.
pub(crate) fn seconds(name: &str, text: &str) -> Result<u64, Problem> {
    match humantime::parse_duration(text) {
        Ok(length) if length.as_secs() > 0 && length.subsec_nanos() == 0 => Ok(length.as_secs()),
        _ => Err(bad(format!(
            "{name}: `{text}` is no length of time in whole seconds; write it like 30s, 5m, 1h or 1d"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unescaped_plus_is_put_right() {
        let escaped = time("from", Some("2026-01-31T12:00:00+01:00")).unwrap();
        assert_eq!(time("from", Some("2026-01-31T12:00:00 01:00")).unwrap(), escaped);
        assert!(time("from", Some("é2026 01:00")).unwrap_err().detail().starts_with("from:"));
    }

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(seconds("interval", "5m").unwrap(), 300);
        assert_eq!(seconds("interval", "1d").unwrap(), 86_400);
        for text in ["", "m", "0s", "10ms", "-5m", "99999999999999999999d", "é"] {
            assert!(seconds("interval", text).is_err(), "{text}");
        }
    }
}
