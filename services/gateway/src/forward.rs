//! `POST /api/v1/logs`: passed on to the producer, with the caller's organisation as the gateway knows it.

use crate::{Gateway, auth::MayWrite, limits::Limited};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, Request, Response, header},
};

/// Header that tells the producer whose token a request has. Must match `producer::ORGANIZATION`; standalone's tests
/// send through both.
const ORGANIZATION: HeaderName = HeaderName::from_static("logpipeline-organization");

pub(crate) async fn forward(
    State(gateway): State<Gateway>,
    Limited(MayWrite(caller), taken): Limited<MayWrite>,
    mut request: Request<Body>,
) -> Response<Body> {
    let organization = HeaderValue::from_str(caller.organizations.as_str())
        .expect("an organisation's grammar is a part of what headers may hold");
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    // Replaces what a client may have put there itself.
    headers.insert(ORGANIZATION, organization);
    let mut answer = gateway.producer().call(taken.watch(request)).await;
    taken.settle(&mut answer);
    answer
}
