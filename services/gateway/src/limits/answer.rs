//! Limits in answers: the fields of draft-ietf-httpapi-ratelimit-headers-11, and the refusal.

use super::{Kind, Standing};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use process::problem::Problem;
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The problem type of a quota that is used up, and its title, by the draft.
const QUOTA_EXCEEDED: (&str, &str) = (
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
);

pub(super) type Fields = [(HeaderName, HeaderValue); 2];

/// `RateLimit` and `RateLimit-Policy`: the bucket is the quota, the time in which it fills the window.
pub(super) fn fields(kind: Kind, standing: &Standing) -> Fields {
    let Standing { limit, remaining, wait, .. } = standing;
    let name = kind.name();
    // The registry of quota units knows no events, and another value of `qu` is not allowed.
    let unit = if kind == Kind::Write { ";logpipeline-unit=\"events\"" } else { "" };
    let policy = format!("\"{name}\";q={};w={}{unit}", limit.burst(), limit.window_seconds());
    let now = match whole_seconds(*wait) {
        0 => format!("\"{name}\";r={remaining}"),
        seconds => format!("\"{name}\";r={remaining};t={seconds}"),
    };
    let value = |text: String| HeaderValue::try_from(text).expect("names and numbers are ASCII");
    [(RATE_LIMIT, value(now)), (RATE_LIMIT_POLICY, value(policy))]
}

/// The organisation has used up what it may.
pub(super) fn limited(kind: Kind, standing: &Standing) -> Problem {
    let Standing { limit, wait, .. } = standing;
    let (per_second, burst) = (limit.per_second(), limit.burst());
    let what = match kind {
        Kind::Write => "events written",
        Kind::Read => "requests that read",
    };
    let millis = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    let detail = format!(
        "the organisation's limit is {per_second} {what} a second, and {burst} at once; send the request again in {millis} ms"
    );
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .of_type(QUOTA_EXCEEDED.0, QUOTA_EXCEEDED.1)
        .retry_after(*wait)
        .with("violated-policies", vec![kind.name()])
        .with("retryAfterMs", millis)
}

/// Nobody can say whether it is within the limit.
pub(super) fn closed() -> Problem {
    let detail =
        "it cannot be known now whether the request is within the organisation's limit; send it again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Duration::from_secs(1))
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use resilience::Limit;

    #[test]
    fn answers_say_the_policy_and_what_is_left() {
        let limit = Limit::new(1000, 2500).unwrap();
        let standing = |remaining, wait| Standing { limit, remaining, wait, by: "redis" };
        let texts =
            |kind, standing| fields(kind, &standing).map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(
            texts(Kind::Write, standing(7, Duration::from_micros(1))),
            [r#""write";r=7;t=1"#, r#""write";q=2500;w=3;logpipeline-unit="events""#]
        );
        assert_eq!(
            texts(Kind::Read, standing(2500, Duration::ZERO)),
            [r#""read";r=2500"#, r#""read";q=2500;w=3"#]
        );
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limit = Limit::new(1, 1).unwrap();
        let wait = Duration::from_micros(1_234_001);
        let problem = limited(Kind::Read, &Standing { limit, remaining: 0, wait, by: "local" });
        assert!(serde_json::to_string(&problem).unwrap().contains(r#""retryAfterMs":1235"#));
        let response = problem.into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &HeaderValue::from(2))
        );
    }
}
