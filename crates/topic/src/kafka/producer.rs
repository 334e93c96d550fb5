//! The producer under the writer: hands records to librdkafka, and hears what became of each.

use super::config::Config;
use super::context::Context;
use super::inflight::{InFlight, Ticket};
use crate::{AppendError, NewRecord};
use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// An idempotent producer with a thread that takes delivery reports.
pub(super) struct Producer {
    client: ThreadedProducer<Delivery>,
    topic: String,
}

/// Settles records as librdkafka reports them.
struct Delivery {
    context: Context,
    in_flight: Arc<InFlight>,
    max_record_bytes: usize,
    spoiled: AtomicBool,
}

impl Producer {
    /// Connects in the background.
    pub(super) fn new(config: &Config, context: Context, in_flight: Arc<InFlight>) -> KafkaResult<Producer> {
        let max_record_bytes = config.writer.max_record_bytes;
        let delivery = Delivery { context, in_flight, max_record_bytes, spoiled: AtomicBool::new(false) };
        let client = ThreadedProducer::from_config_and_context(&config.producer(), delivery)?;
        Ok(Producer { client, topic: config.topic.clone() })
    }

    /// Hands a record over; librdkafka copies it. It is settled in any case, now or later.
    pub(super) fn send(&self, record: &NewRecord, ticket: Ticket) {
        let mut handed = BaseRecord::with_opaque_to(&self.topic, ticket.to_word())
            .key(&*record.key)
            .payload(&*record.payload);
        if !record.headers.is_empty() {
            handed = handed.headers(headers(record));
        }
        if let Err((error, _)) = self.client.send(handed) {
            let delivery = self.client.client().context();
            let size = record.size();
            delivery.settle(ticket, Err(delivery.append_error(&error, size)));
        }
    }

    /// Whether it will never write again: a fatal error of idempotence, or its topic was made anew.
    pub(super) fn is_spoiled(&self) -> bool {
        let client = self.client.client();
        client.context().spoiled.load(Ordering::Relaxed) || client.fatal_error().is_some()
    }

    #[cfg(test)]
    pub(super) fn fail(&self) {
        super::native::fail(self.client.client());
    }

    /// Makes the writer replace it.
    pub(super) fn spoil(&self) {
        self.client.client().context().spoiled.store(true, Ordering::Relaxed);
    }
}

fn headers(record: &NewRecord) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    record
        .headers
        .iter()
        .fold(empty, |headers, (key, value)| headers.insert(Header { key, value: Some(&**value) }))
}

impl Delivery {
    fn settle(&self, ticket: Ticket, outcome: Result<(), AppendError>) {
        self.in_flight.settle(ticket, outcome, Instant::now);
    }

    fn append_error(&self, error: &KafkaError, size: usize) -> AppendError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                AppendError::TooLarge { size, limit: self.max_record_bytes }
            }
            Some(RDKafkaErrorCode::Fatal) => {
                AppendError::Unavailable("the producer has to begin anew".into())
            }
            Some(code) => AppendError::Unavailable(code.to_string()),
            None => AppendError::Unavailable(error.to_string()),
        }
    }
}

impl ProducerContext for Delivery {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(self.append_error(error, bytes_of(message))),
        };
        self.settle(Ticket::from_word(word), outcome);
    }
}

fn bytes_of(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers().map_or(0, |headers| {
        headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len)).sum()
    });
    message.key_len() + message.payload_len() + headers
}

impl ClientContext for Delivery {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.context.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}
