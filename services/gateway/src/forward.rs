//! `POST /api/v1/logs`: passed on to the producer as it comes in, with the caller's organisation as the gateway knows it.

use crate::{
    Gateway,
    auth::{MayWrite, Organizations},
    limits::Limited,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use process::problem::Problem;
use std::time::{Duration, SystemTime};

/// Whose request it is, signed; see [`handoff`].
const IDENTITY: HeaderName = HeaderName::from_static(handoff::IDENTITY);
/// How long the gateway waits; see [`handoff`].
const TIMEOUT: HeaderName = HeaderName::from_static(handoff::TIMEOUT);
/// How long what the gateway has signed is good for: until the producer has the head of the request.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// After this the gateway answers without the producer; a little less is told, so that the producer's answer comes first.
const AWAITED_MILLISECONDS: u64 = 33_000;

pub(crate) async fn forward(
    State(gateway): State<Gateway>,
    Limited(MayWrite(caller), taken): Limited<MayWrite>,
    mut request: Request<Body>,
) -> Response<Body> {
    let organization = match &caller.organizations {
        Organizations::Only(organization) => Some(organization),
        Organizations::Any => None,
    };
    let _place = match gateway.admission().enter(organization) {
        Ok(place) => place,
        Err(full) => {
            let detail = format!("{full}; send the request again later");
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            let mut answer = problem.retry_after(Duration::from_secs(1)).into_response();
            taken.settle(&mut answer);
            return answer;
        }
    };
    let named = organization.map_or(handoff::ANY, |organization| organization.as_str());
    let identity = gateway.gateway_key().sign(named, SystemTime::now() + GOOD_FOR);
    let identity = HeaderValue::from_str(&identity)
        .expect("an organisation's grammar is a part of what headers may hold");
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    // First what the client says concerns its connection only, so that it cannot name our own.
    remove_connection_headers(headers);
    // Both replace what a client may have put there itself.
    headers.insert(IDENTITY, identity);
    headers.insert(TIMEOUT, HeaderValue::from(AWAITED_MILLISECONDS));
    let mut answer = gateway.producer().call(taken.watch(request)).await;
    taken.settle(&mut answer);
    answer
}

/// `Connection` and what it names concern one connection only (RFC 9110, section 7.6.1).
fn remove_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::CONTENT_TYPE && *name != header::CONTENT_ENCODING)
        .collect();
    for name in named {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_a_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "x-other,, content-type"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("content-type", "application/json"),
            ("traceparent", "3"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_connection_headers(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-type", "traceparent"]);
    }
}
