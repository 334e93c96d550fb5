//! The limit of a request: after its token is checked, before anything that costs.

use super::{Kind, Limiter, Name, Ruling, answer};
use crate::{
    Gateway,
    auth::{Caller, MayRead, MayWrite},
};
use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, Response, StatusCode, header, request},
    middleware::Next,
};
use process::problem::Problem;
use std::sync::{Arc, OnceLock};

/// Header of the producer's answer with the number of events that the request had; see [`handoff`].
const EVENTS: HeaderName = HeaderName::from_static(handoff::EVENTS);

/// A caller within its limit.
pub(crate) struct Limited<C>(pub(crate) C, pub(crate) Taken);

/// A caller whose requests are limited.
pub(crate) trait Metered: FromRequestParts<Gateway, Rejection = Problem> + Send {
    const KIND: Kind;
    fn caller(&self) -> &Caller;
}

impl Metered for MayRead {
    const KIND: Kind = Kind::Read;
    fn caller(&self) -> &Caller {
        &self.0
    }
}

impl Metered for MayWrite {
    const KIND: Kind = Kind::Write;
    fn caller(&self) -> &Caller {
        &self.0
    }
}

impl<C: Metered> FromRequestParts<Gateway> for Limited<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let caller = C::from_request_parts(parts, gateway).await?;
        let (limiter, kind) = (gateway.limiter(), C::KIND);
        let name = Name::of(&caller.caller().organizations);
        let bytes = content_length(&parts.headers);
        let cost = match kind {
            Kind::Write => limiter.estimate(&name, bytes),
            Kind::Read => 1,
        };
        let ruling = limiter.take(&name, kind, cost).await;
        if let (Ruling::Allowed(standing) | Ruling::Limited(standing), Some(slot)) =
            (&ruling, parts.extensions.get::<Slot>())
        {
            let _ = slot.0.set(answer::fields(kind, standing));
        }
        match ruling {
            Ruling::Unlimited => Ok(Limited(caller, Taken(None))),
            Ruling::Allowed(_) => {
                let taken = TakenFrom { limiter: limiter.clone(), name, cost, bytes };
                Ok(Limited(caller, Taken(Some(taken))))
            }
            Ruling::Limited(standing) => Err(answer::limited(kind, &standing)),
            Ruling::Closed => Err(answer::closed()),
        }
    }
}

/// 0 when the body's length is not told.
fn content_length(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The estimate that a write has taken. Of a request that its client gives up it stays taken.
pub(crate) struct Taken(Option<TakenFrom>);

struct TakenFrom {
    limiter: Limiter,
    name: Name,
    cost: u32,
    bytes: u64,
}

impl Taken {
    /// Settles a write by the producer's answer: all is given back when it could not be taken, and a request that is
    /// refused as a whole costs one event.
    pub(crate) fn settle<B>(self, answer: &mut Response<B>) {
        let events = answer.headers_mut().remove(EVENTS);
        let Some(TakenFrom { limiter, name, cost, bytes }) = self.0 else { return };
        let events = events.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let owed = match events {
            _ if answer.status() == StatusCode::SERVICE_UNAVAILABLE => 0,
            Some(events) => {
                limiter.learn(&name, bytes, events);
                events.max(1)
            }
            None => 1,
        };
        limiter.settle(&name, Kind::Write, i64::from(owed) - i64::from(cost));
    }
}

/// Where the extractor leaves the fields for the answer.
#[derive(Clone, Default)]
struct Slot(Arc<OnceLock<answer::Fields>>);

/// A layer that puts `RateLimit` and `RateLimit-Policy` on every answer to a request that has a limit.
pub(crate) async fn show(mut request: Request, next: Next) -> axum::response::Response {
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());
    let mut response = next.run(request).await;
    for (name, value) in slot.0.get().into_iter().flatten() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}
