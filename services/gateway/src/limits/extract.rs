//! The limit of a request: after its token is checked, before anything that costs.

use super::{Kind, Limiter, Name, Ruling, answer, show::Slot};
use crate::{
    Gateway,
    auth::{Caller, MayLook, MayRead, MaySeeAll, MayWrite},
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, Response, StatusCode, header, request},
};
use futures::TryStreamExt;
use process::problem::Problem;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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

impl Metered for MaySeeAll {
    const KIND: Kind = Kind::Read;
    fn caller(&self) -> &Caller {
        &self.0
    }
}

impl Metered for MayLook {
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
            slot.fill(answer::fields(kind, standing));
        }
        match ruling {
            Ruling::Unlimited => Ok(Limited(caller, Taken(None))),
            Ruling::Allowed(_) if kind == Kind::Read => Ok(Limited(caller, Taken(None))),
            Ruling::Allowed(_) => {
                let counted = Arc::default();
                let taken =
                    Estimate { limiter: limiter.clone(), name, cost, bytes, counted, is_settled: false };
                Ok(Limited(caller, Taken(Some(taken))))
            }
            Ruling::Limited(standing) => Err(answer::limited(kind, &standing)),
            Ruling::Closed => Err(answer::closed()),
        }
    }
}

/// `None` when the body's length is not told.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What a write has taken, until it is settled; nothing when there is no limit, and for reads.
pub(crate) struct Taken(Option<Estimate>);

struct Estimate {
    limiter: Limiter,
    name: Name,
    cost: u32,
    bytes: Option<u64>,
    /// Bytes that went by, of a body whose length was not told.
    counted: Arc<AtomicU64>,
    is_settled: bool,
}

impl Taken {
    /// Counts the bytes of a body whose length is not told.
    pub(crate) fn watch(&self, request: Request) -> Request {
        match &self.0 {
            Some(estimate) if estimate.bytes.is_none() => {
                let counted = Arc::clone(&estimate.counted);
                let count = move |piece: &Bytes| {
                    counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
                };
                request.map(|body| Body::from_stream(body.into_data_stream().inspect_ok(count)))
            }
            _ => request,
        }
    }

    /// Settles a write by the producer's answer: all is given back when it could not be taken, and a request that is
    /// refused as a whole costs one event.
    pub(crate) fn settle<B>(self, answer: &mut Response<B>) {
        let events = answer.headers_mut().remove(EVENTS);
        let Some(mut estimate) = self.0 else { return };
        let events = events.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let owed = match events {
            _ if answer.status() == StatusCode::SERVICE_UNAVAILABLE => 0,
            Some(events) => {
                estimate.limiter.learn(&estimate.name, estimate.bytes(), events);
                events.max(1)
            }
            None => 1,
        };
        estimate.settle(owed);
    }
}

impl Estimate {
    fn bytes(&self) -> u64 {
        self.bytes.unwrap_or_else(|| self.counted.load(Ordering::Relaxed))
    }

    fn settle(&mut self, owed: u32) {
        self.is_settled = true;
        self.limiter.settle(&self.name, Kind::Write, i64::from(owed) - i64::from(self.cost));
    }
}

/// A client that goes away before the answer may have written nevertheless, and pays for all it has sent.
impl Drop for Estimate {
    fn drop(&mut self) {
        if !self.is_settled {
            let sent = self.limiter.estimate(&self.name, Some(self.bytes()));
            self.settle(sent.max(self.cost));
        }
    }
}
