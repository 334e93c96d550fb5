//! `POST /api/v1/logs`: passed on to the producer as it comes in, with the caller's organisation as the gateway knows it.

use crate::{
    Gateway,
    auth::{MayWrite, Organizations},
    limits::Limited,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
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
) -> Result<Response<Body>, Problem> {
    let organization = match &caller.organizations {
        Organizations::Only(organization) => Some(organization),
        Organizations::Any => None,
    };
    let _place = gateway.admission().enter(organization).map_err(|full| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{full}; send the request again later"))
            .retry_after(Duration::from_secs(1))
    })?;
    let named = organization.map_or(handoff::ANY, |organization| organization.as_str());
    let identity = gateway.gateway_key().sign(named, SystemTime::now() + GOOD_FOR);
    let identity = HeaderValue::from_str(&identity)
        .expect("an organisation's grammar is a part of what headers may hold");
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    // Both replace what a client may have put there itself.
    headers.insert(IDENTITY, identity);
    headers.insert(TIMEOUT, HeaderValue::from(AWAITED_MILLISECONDS));
    let mut answer = gateway.producer().call(taken.watch(request)).await;
    taken.settle(&mut answer);
    Ok(answer)
}
