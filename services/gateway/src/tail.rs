//! `GET /api/v1/tail`: events as they enter the topic, by server-sent events.
//!
//! One reader of the topic's end serves all clients. It runs while there are any, and each event is read once however
//! many look on. A client that is too slow is told how many it missed; it never slows the others down.

use crate::{Gateway, auth::MayRead, filter::filter, limits::Limited, params::Params};
use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures::{Stream, stream};
use process::problem::Problem;
use record::LogRecord;
use serde::Deserialize;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use store::{Filter, Words};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use topic::{Event, Viewer};

/// Events kept for clients that are behind.
const BEHIND: usize = 4096;
/// Clients at one time.
const CLIENTS: usize = 500;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Wait before reading again after the topic could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// An event on its way to the clients.
#[derive(Debug)]
struct Seen {
    record: LogRecord,
    json: String,
}

type Sender = broadcast::Sender<Arc<Seen>>;

/// The reader that all clients share.
#[derive(Clone)]
pub(crate) struct Tail {
    topic: Arc<dyn Viewer>,
    running: Arc<Mutex<Weak<Sender>>>,
    stop: CancellationToken,
}

impl Tail {
    pub(crate) fn new(topic: Arc<dyn Viewer>, stop: CancellationToken) -> Tail {
        Tail { topic, running: Arc::default(), stop }
    }

    /// What comes from now on, and the handle that keeps the reader running; `None` when too many look on.
    fn subscribe(&self) -> Option<(broadcast::Receiver<Arc<Seen>>, Arc<Sender>)> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = running.upgrade().unwrap_or_else(|| {
            let sender = Arc::new(broadcast::Sender::new(BEHIND));
            *running = Arc::downgrade(&sender);
            tokio::spawn(read(Arc::clone(&self.topic), Arc::downgrade(&sender)));
            sender
        });
        (sender.receiver_count() < CLIENTS).then(|| (sender.subscribe(), sender))
    }
}

/// Reads the end of the topic until nobody looks on.
async fn read(topic: Arc<dyn Viewer>, clients: Weak<Sender>) {
    let mut reader = topic.tail();
    loop {
        let event = tokio::time::timeout(HEARTBEAT, reader.next()).await;
        let Some(clients) = clients.upgrade() else { return };
        match event {
            Ok(Ok(Event::Assigned(assignments))) => {
                assignments.iter().for_each(|of| reader.start(of.partition, of.end));
            }
            Ok(Ok(Event::Records(batch))) => {
                for record in batch.records {
                    // What is no log record is the consumer's to set aside.
                    if let Ok(seen) = seen(&record.payload) {
                        let _ = clients.send(Arc::new(seen));
                    }
                }
            }
            // The partition lost its end since it was assigned; what comes from now on is after the new one.
            Ok(Ok(Event::Truncated(of))) => reader.start(of.partition, of.end),
            Ok(Ok(Event::Revoked(_))) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "live tail cannot read the topic; trying again");
                drop(clients);
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
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
    let (receiver, keep) = tail.subscribe().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{CLIENTS} clients look on already; try again later"),
        )
        .retry_after(Duration::from_secs(10))
    })?;
    let words = Words::new(&filter.words);
    let watching = Watching { receiver, filter, words, stop: tail.stop.clone(), _keep: keep };
    let events = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((Ok(event), watching))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One client.
struct Watching {
    receiver: broadcast::Receiver<Arc<Seen>>,
    filter: Filter,
    words: Words,
    stop: CancellationToken,
    _keep: Arc<Sender>,
}

impl Watching {
    /// The next event that the client asked for; `None` when the process stops.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let received = tokio::select! {
                received = self.receiver.recv() => received,
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
