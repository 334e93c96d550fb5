//! Collects what librdkafka has fetched of a partition into one batch.

use super::desk::Due;
use super::member::Member;
use crate::{Batch, Header, Record};
use bytes::{Bytes, BytesMut};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use std::ops::Range;
use std::time::Duration;

/// What one batch stops at.
const BATCH_RECORDS: usize = 4_000;
const BATCH_BYTES: usize = 1 << 20;

/// Takes what is there, and does not wait. Records in front of an error come with it.
pub(super) fn drain(queue: &PartitionQueue<Member>, due: Due) -> (Option<Batch>, Option<KafkaError>) {
    let mut packed = Packed::default();
    let mut failed = None;
    while !packed.is_full() {
        match queue.poll(Duration::ZERO) {
            None => break,
            // Begins inside a compressed batch: what comes before is not ours.
            Some(Ok(message)) if message.offset() < due.next => {}
            Some(Ok(message)) => packed.push(&message),
            Some(Err(error)) => {
                failed = Some(error);
                break;
            }
        }
    }
    let records = packed.into_records();
    let batch = Batch { partition: due.partition, log_start: due.log_start, records };
    ((!batch.records.is_empty()).then_some(batch), failed)
}

/// Keys and payloads of all records in one buffer: an allocation a batch, not two a record.
#[derive(Default)]
struct Packed {
    buffer: BytesMut,
    records: Vec<Unpacked>,
}

struct Unpacked {
    offset: i64,
    timestamp_ms: i64,
    key: Range<usize>,
    payload: Range<usize>,
    headers: Vec<Header>,
}

impl Packed {
    fn is_full(&self) -> bool {
        self.records.len() >= BATCH_RECORDS || self.buffer.len() >= BATCH_BYTES
    }

    fn push(&mut self, message: &BorrowedMessage<'_>) {
        let key = self.key(message.key().unwrap_or_default());
        let payload = self.put(message.payload().unwrap_or_default());
        self.records.push(Unpacked {
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            key,
            payload,
            headers: headers(message),
        });
    }

    /// Neighbours mostly have the same key.
    fn key(&mut self, key: &[u8]) -> Range<usize> {
        let last = self.records.last().map(|record| record.key.clone());
        match last {
            Some(last) if self.buffer[last.clone()] == *key => last,
            _ => self.put(key),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        begin..self.buffer.len()
    }

    fn into_records(self) -> Vec<Record> {
        let buffer = self.buffer.freeze();
        let records = self.records.into_iter().map(|record| Record {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: buffer.slice(record.key),
            payload: buffer.slice(record.payload),
            headers: record.headers,
        });
        records.collect()
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let copied = headers
        .iter()
        .map(|header| (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap_or_default())));
    copied.collect()
}
