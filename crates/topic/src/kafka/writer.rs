//! The writer that requests share.

use super::config::Config;
use super::context::Context;
use super::inflight::{InFlight, Limits, Ticket};
use super::lookup::Lookup;
use super::metrics::Metrics;
use super::native::LookupError;
use super::producer::Producer;
use crate::{AppendError, Failure, NewRecord, TopicId, Writer};
use async_trait::async_trait;
use rdkafka::error::KafkaResult;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// An answer about health is good for so long.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECKED_WITHIN: Duration = Duration::from_secs(3);
/// A request that waits longer says that the brokers do not acknowledge.
const STALLED: Duration = Duration::from_secs(10);
/// librdkafka reports every record in time; this much later its report is not waited for any more.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

/// Appends through a producer, which it replaces when that is spoiled: records in flight are answered as unavailable,
/// as after any failure, and the process need not end for it.
pub(super) struct KafkaWriter {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    metrics: Metrics,
    lookup: Arc<Lookup>,
    in_flight: Arc<InFlight>,
    producer: RwLock<Arc<Producer>>,
    health: tokio::sync::Mutex<Option<Health>>,
}

/// What was found out last.
struct Health {
    at: Instant,
    /// The topic that the producer was last seen to write to.
    topic: Option<TopicId>,
    found: Result<(), AppendError>,
}

impl KafkaWriter {
    /// A writer that connects in the background.
    pub(super) fn new(config: &Config, metrics: &Metrics, lookup: Arc<Lookup>) -> KafkaResult<KafkaWriter> {
        let limits = Limits { records: config.writer.queue_records, bytes: config.writer.queue_bytes };
        let in_flight = Arc::new(InFlight::new(limits));
        let producer = RwLock::new(Arc::new(new_producer(config, metrics, &in_flight)?));
        let (config, metrics) = (config.clone(), metrics.clone());
        let health = tokio::sync::Mutex::default();
        Ok(KafkaWriter { shared: Arc::new(Shared { config, metrics, lookup, in_flight, producer, health }) })
    }

    /// Lets the records in and hands them over. No await in between: whoever drops the future takes nothing back.
    fn hand_over(&self, accepted: &Accepted) -> Result<oneshot::Receiver<Vec<Failure>>, AppendError> {
        let producer = self.shared.producer()?;
        let (request, answered) =
            self.shared.in_flight.open(accepted.records.len(), accepted.bytes, Instant::now())?;
        for (index, record) in accepted.places.iter().zip(&accepted.records) {
            producer.send(record, Ticket { request, index: *index });
        }
        Ok(answered)
    }
}

#[async_trait]
impl Writer for KafkaWriter {
    async fn append(&self, records: Vec<NewRecord>) -> Vec<Failure> {
        let (accepted, mut failures) = accept(records, self.shared.config.writer.max_record_bytes);
        if accepted.records.is_empty() {
            return failures;
        }
        let answered = self.hand_over(&accepted);
        // librdkafka has copied them: they are not kept while it writes.
        drop(accepted.records);
        let answer = match answered {
            Ok(answered) => self.shared.wait(answered).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(failed) => failures.extend(failed),
            Err(error) => {
                let failed = accepted
                    .places
                    .into_iter()
                    .map(|index| Failure { index: index as usize, error: error.clone() });
                failures.extend(failed);
            }
        }
        failures.sort_unstable_by_key(|failure| failure.index);
        if failures.iter().any(|failure| matches!(failure.error, AppendError::Unavailable(_))) {
            let shared = self.shared.clone();
            tokio::spawn(async move { shared.check().await });
        }
        failures
    }

    async fn ready(&self) -> Result<(), AppendError> {
        self.shared.check().await
    }
}

impl Shared {
    async fn wait(&self, answered: oneshot::Receiver<Vec<Failure>>) -> Result<Vec<Failure>, AppendError> {
        let within = self.config.writer.acknowledged_within + REPORTED_WITHIN;
        match timeout(within, answered).await {
            Ok(Ok(failures)) => Ok(failures),
            Ok(Err(_)) => Err(AppendError::Unavailable("its producer is gone".into())),
            Err(_) => Err(AppendError::Unavailable(format!("no report within {within:?}"))),
        }
    }

    /// The producer, a new one when the last is spoiled.
    fn producer(&self) -> Result<Arc<Producer>, AppendError> {
        let producer = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
        match producer.is_spoiled() {
            false => Ok(producer),
            true => self.replace(),
        }
    }

    fn replace(&self) -> Result<Arc<Producer>, AppendError> {
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if producer.is_spoiled() {
            tracing::warn!("the producer cannot go on and is replaced");
            let new = new_producer(&self.config, &self.metrics, &self.in_flight);
            let new = new.map_err(|error| AppendError::Unavailable(error.to_string()))?;
            let old = std::mem::replace(&mut *producer, Arc::new(new));
            // Its end waits for its thread.
            std::thread::spawn(move || drop(old));
        }
        Ok(producer.clone())
    }

    /// Finds out whether the topic can be written to, at most once a second for all who ask, and whether it is still
    /// the same: librdkafka does not follow a topic that is made anew.
    async fn check(self: &Arc<Self>) -> Result<(), AppendError> {
        let mut health = self.health.lock().await;
        if let Some(health) = &*health
            && health.at.elapsed() < CHECK_EVERY
        {
            return health.found.clone();
        }
        let known = health.as_ref().and_then(|health| health.topic);
        let shared = self.clone();
        let described = tokio::task::spawn_blocking(move || shared.lookup.describe(CHECKED_WITHIN)).await;
        let described = described.unwrap_or_else(|error| Err(LookupError::Kafka(error.to_string())));
        let topic = described.as_ref().ok().map(|description| description.topic);
        if known.is_some() && topic.is_some() && topic != known {
            tracing::warn!("the topic was made anew: writing to the new one");
            self.producer.read().unwrap_or_else(PoisonError::into_inner).spoil();
        }
        let found = match described.map(|description| description.leaderless()) {
            Ok(None) => self.flowing(),
            Ok(Some(partition)) => Err(LookupError::NoLeader(partition).to_string()),
            Err(error) => Err(error.to_string()),
        };
        let found = found.map_err(AppendError::Unavailable);
        *health = Some(Health { at: Instant::now(), topic: topic.or(known), found: found.clone() });
        found
    }

    fn flowing(&self) -> Result<(), String> {
        let oldest = self.in_flight.oldest(Instant::now());
        match oldest > STALLED {
            true => Err(format!("nothing was acknowledged for {} s", oldest.as_secs())),
            false => Ok(()),
        }
    }
}

fn new_producer(config: &Config, metrics: &Metrics, in_flight: &Arc<InFlight>) -> KafkaResult<Producer> {
    let context = Context { role: "writer", metrics: Some(metrics.of("writer")) };
    Producer::new(config, context, in_flight.clone())
}

/// Records small enough to be appended.
struct Accepted {
    records: Vec<NewRecord>,
    /// Where each stood in the request.
    places: Vec<u32>,
    bytes: usize,
}

fn accept(mut records: Vec<NewRecord>, limit: usize) -> (Accepted, Vec<Failure>) {
    let (mut places, mut bytes, mut refused) = (Vec::with_capacity(records.len()), 0, Vec::new());
    let mut place = 0;
    records.retain(|record| {
        let size = record.size();
        match size <= limit {
            true => {
                places.push(place);
                bytes += size;
            }
            false => {
                let error = AppendError::TooLarge { size, limit };
                refused.push(Failure { index: place as usize, error });
            }
        }
        place += 1;
        size <= limit
    });
    (Accepted { records, places, bytes }, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody listens there; the client's own errors need no broker.
    #[test]
    fn a_fatal_error_replaces_the_producer() {
        let config = Config::new("127.0.0.1:1", "nothing");
        let lookup = Lookup::new(&config, Context { role: "viewer", metrics: None }).unwrap();
        let writer = KafkaWriter::new(&config, &Metrics::default(), Arc::new(lookup)).unwrap();
        let first = writer.shared.producer().unwrap();
        assert!(!first.is_spoiled());
        first.fail();
        let second = writer.shared.producer().unwrap();
        assert!(!second.is_spoiled() && !Arc::ptr_eq(&first, &second));
    }
}
