//! Publishes dead letters on the topic that is for them: as many as there are, each once.
//!
//! The store hands them out in numbered publications, and gives the same one again until it is marked as published. The
//! publisher writes a publication in one transaction of Kafka, and none that it wrote before; so a relay may end at any
//! moment, and another one goes on.

use bytes::Bytes;
use record::headers::{TRACEPARENT, dead_letter as header};
use resilience::Backoff;
use std::time::Duration;
use store::{DeadLetter, Outbox, Publication};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use topic::{NewRecord, kafka::Publisher};

/// Letters in one publication.
const LETTERS: usize = 500;
/// How often to look for new letters.
const LOOK: Duration = Duration::from_millis(500);

/// Works until `stop`. `origin` is the name of the topic that the letters come from.
pub async fn run(origin: String, publisher: Publisher, outbox: impl Outbox, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        let wait = match relay(&origin, &publisher, &outbox).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => LOOK,
            Err(error) => {
                tracing::warn!(error, "dead letters cannot be published; they wait in the store");
                backoff.next(rand::random())
            }
        };
        if wait <= LOOK {
            backoff.reset();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Publishes what waits; answers whether anything did.
async fn relay(origin: &str, publisher: &Publisher, outbox: &impl Outbox) -> Result<bool, String> {
    let open = outbox.publication(LETTERS).await.map_err(|error| error.to_string())?;
    let Some(Publication { number, letters }) = open else { return Ok(false) };
    let records = letters.iter().map(|letter| new_record(origin, letter)).collect();
    publisher.publish(number, records).await.map_err(|error| error.to_string())?;
    outbox.published(number).await.map_err(|error| error.to_string())?;
    tracing::info!(number, letters = letters.len(), "dead letters published");
    Ok(true)
}

fn new_record(origin: &str, letter: &DeadLetter) -> NewRecord {
    let text = |text: String| Bytes::from(text);
    let mut headers = vec![
        (header::TOPIC.to_owned(), text(origin.to_owned())),
        (header::PARTITION.to_owned(), text(letter.of.partition.to_string())),
        (header::OFFSET.to_owned(), text(letter.offset.to_string())),
        (header::TIMESTAMP.to_owned(), text(letter.timestamp_ms.to_string())),
        (header::REASON.to_owned(), text(letter.refusal.reason.clone())),
        (header::ATTEMPTS.to_owned(), text(letter.attempts.to_string())),
    ];
    if let Some(sqlstate) = &letter.refusal.sqlstate {
        headers.push((header::SQLSTATE.to_owned(), text(sqlstate.clone())));
    }
    if let Some(traceparent) = &letter.traceparent {
        headers.push((TRACEPARENT.to_owned(), text(traceparent.clone())));
    }
    NewRecord { key: letter.key.clone(), payload: letter.payload.clone(), headers }
}
