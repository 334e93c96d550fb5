//! `GET /api/v1/tail`: events as they enter the topic, by server-sent events.
//!
//! One reader of the topic's end serves all clients. It runs while there are any, and each event is read once however
//! many look on. A client that is too slow is told how many it missed; it never slows the others down.

mod audience;

pub use audience::TailLimits;

use crate::{Gateway, auth::MayRead, filter::filter, limits::Limited, params::Params};
use audience::{Audience, Seat};
use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures::{Stream, stream};
use process::problem::Problem;
use record::{LogRecord, OrganizationId};
use serde::Deserialize;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use store::{Filter, Words};
use tokio::{runtime::Handle, sync::broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;
use topic::{Event, Record, Viewer};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Wait before reading again after the topic could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// An event on its way to the clients.
#[derive(Debug)]
struct Seen {
    record: LogRecord,
    json: String,
}

/// The reader that all clients share.
#[derive(Clone)]
pub(crate) struct Tail {
    topic: Arc<dyn Viewer>,
    limits: TailLimits,
    /// There while anybody looks on.
    audience: Arc<Mutex<Weak<Audience>>>,
    stop: CancellationToken,
    /// Where the reader runs: on the core of a client it would hold up that core's other requests.
    runtime: Handle,
}

impl Tail {
    /// Needs a runtime.
    pub(crate) fn new(topic: Arc<dyn Viewer>, limits: TailLimits, stop: CancellationToken) -> Tail {
        Tail { topic, limits, audience: Arc::default(), stop, runtime: Handle::current() }
    }

    /// When all tails end.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// A seat from now on.
    fn enter(&self, organization: &OrganizationId) -> Result<Seat, audience::Full> {
        let mut audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner);
        let present = audience.upgrade().unwrap_or_else(|| {
            let present = Arc::new(Audience::new(self.limits));
            *audience = Arc::downgrade(&present);
            self.runtime.spawn(read(Arc::clone(&self.topic), Arc::downgrade(&present)));
            present
        });
        present.enter(organization)
    }
}

/// Reads the end of the topic until nobody looks on.
async fn read(topic: Arc<dyn Viewer>, audience: Weak<Audience>) {
    let mut reader = topic.tail();
    loop {
        let event = tokio::time::timeout(HEARTBEAT, reader.next()).await;
        let Some(audience) = audience.upgrade() else { return };
        match event {
            Ok(Ok(Event::Assigned(assignments))) => {
                assignments.iter().for_each(|of| reader.start(of.partition, of.end));
            }
            Ok(Ok(Event::Records(batch))) => batch.records.iter().for_each(|record| show(&audience, record)),
            // The partition lost its end since it was assigned; what comes from now on is after the new one.
            Ok(Ok(Event::Truncated(of))) => reader.start(of.partition, of.end),
            Ok(Ok(Event::Revoked(_))) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "live tail cannot read the topic; trying again");
                drop(audience);
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
    }
}

/// What nobody looks for is not even parsed: its key says whose it is. What is no log record is the consumer's to set
/// aside.
fn show(audience: &Audience, record: &Record) {
    let organization =
        std::str::from_utf8(&record.key).ok().and_then(|key| key.parse::<OrganizationId>().ok());
    let Some(organization) = organization.filter(|organization| audience.has(organization)) else { return };
    if let Ok(seen) = seen(&record.payload) {
        audience.show(&organization, seen);
    }
}

fn seen(payload: &[u8]) -> Result<Seen, Box<dyn std::error::Error>> {
    let json = std::str::from_utf8(payload)?.to_owned();
    Ok(Seen { record: LogRecord::from_json(payload)?, json })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailParams {
    organization: Option<String>,
    level: Option<String>,
    service: Option<String>,
    q: Option<String>,
}

pub(crate) async fn tail(
    State(gateway): State<Gateway>,
    Limited(MayRead(caller), _): Limited<MayRead>,
    Params(params): Params<TailParams>,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
    let filter = filter(
        &caller,
        params.organization.as_deref(),
        (None, None),
        params.level.as_deref(),
        params.service.as_deref(),
        params.q.as_deref(),
    )?;
    let tail = gateway.tail();
    let seat = tail.enter(&filter.organization).map_err(|full| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{full}; try again later"))
            .retry_after(Duration::from_secs(10))
    })?;
    let words = Words::new(&filter.words);
    let watching = Watching { seat, filter, words, stop: tail.stop.clone() };
    let events = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((Ok(event), watching))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One client.
struct Watching {
    seat: Seat,
    filter: Filter,
    words: Words,
    stop: CancellationToken,
}

impl Watching {
    /// The next event that the client asked for; `None` when the process stops.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let received = tokio::select! {
                received = self.seat.events.recv() => received,
                () = self.stop.cancelled() => return None,
            };
            match received {
                Ok(seen) if self.filter.matches(&seen.record, &self.words) => {
                    return Some(
                        SseEvent::default().event("log").id(seen.record.id.to_string()).data(&seen.json),
                    );
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    return Some(
                        SseEvent::default().event("missed").data(format!("{{\"missed\":{missed}}}")),
                    );
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
