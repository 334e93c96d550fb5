//! Collects the records of one partition until they are worth a transaction, and accounts for every offset. Pure.

use record::{LogRecord, Timestamp};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use store::{Flush, NewLetter, PartitionKey, Refusal};

/// When a batch is stored: at the first of these.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// So many records are waiting.
    pub records: usize,
    /// So many bytes of payload are waiting.
    pub bytes: usize,
    /// The oldest record has waited so long.
    pub linger: Duration,
}

/// A record and the offsets before it that held none.
#[derive(Debug, Clone)]
pub struct Item {
    /// Offsets before it that retention deleted before they were read.
    pub lost: i64,
    /// Offsets before it that hold no record: control records, compaction.
    pub skipped: i64,
    /// The record; none when nothing is known yet but the offsets that are lost.
    pub record: Option<topic::Record>,
}

/// Records of one partition without a hole between them: what one transaction stores.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Position before it.
    pub expected: i64,
    /// Its records; offsets rise. Never empty.
    pub items: Vec<Item>,
    /// Why the store refused its only record: it is set aside instead.
    pub refused: Option<Refusal>,
}

/// Collects records; gives segments.
#[derive(Debug)]
pub struct Batch {
    limits: Limits,
    /// Position before the oldest item that waits.
    expected: i64,
    /// Offset after the last record taken in.
    next: i64,
    items: VecDeque<Item>,
    bytes: usize,
    since: Option<Instant>,
}

impl Batch {
    /// An empty batch of a partition that is stored up to `next`.
    pub fn new(next: i64, limits: Limits) -> Batch {
        Batch { limits, expected: next, next, items: VecDeque::new(), bytes: 0, since: None }
    }

    /// Takes records in. One below the position is stored already and is passed over; a gap is accounted for:
    /// below `log_start` it is lost, from there on skipped. Without records all below `log_start` is lost.
    pub fn push(&mut self, log_start: i64, records: Vec<topic::Record>, now: Instant) {
        if records.is_empty() && self.next < log_start {
            self.items.push_back(Item { lost: log_start - self.next, skipped: 0, record: None });
            self.next = log_start;
            self.since.get_or_insert(now);
        }
        for record in records {
            if record.offset < self.next {
                continue;
            }
            let lost = (log_start.min(record.offset) - self.next).max(0);
            let skipped = record.offset - self.next - lost;
            self.next = record.offset + 1;
            self.bytes += record.payload.len();
            self.items.push_back(Item { lost, skipped, record: Some(record) });
            self.since.get_or_insert(now);
        }
    }

    /// When the oldest record has waited long enough; `None` when none waits.
    pub fn due_at(&self) -> Option<Instant> {
        self.since.map(|since| since + self.limits.linger)
    }

    /// Whether a segment should be stored now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.items.len() >= self.limits.records
            || self.bytes >= self.limits.bytes
            || self.due_at().is_some_and(|due| due <= now)
    }

    /// Takes the oldest records out, as many as one transaction may have; `None` when none waits.
    pub fn take(&mut self, now: Instant) -> Option<Segment> {
        let mut items = Vec::with_capacity(self.items.len().min(self.limits.records));
        let mut bytes = 0;
        while items.len() < self.limits.records && bytes < self.limits.bytes {
            let Some(item) = self.items.pop_front() else { break };
            bytes += item.bytes();
            items.push(item);
        }
        self.bytes -= bytes;
        self.since = (!self.items.is_empty()).then_some(now);
        let segment = Segment::new(self.expected, items)?;
        self.expected = segment.next();
        Some(segment)
    }

    /// Bytes of payload waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Item {
    /// Offsets that it accounts for.
    fn offsets(&self) -> i64 {
        self.lost + self.skipped + i64::from(self.record.is_some())
    }

    fn bytes(&self) -> usize {
        self.record.as_ref().map_or(0, |record| record.payload.len())
    }
}

impl Segment {
    fn new(expected: i64, items: Vec<Item>) -> Option<Segment> {
        (!items.is_empty()).then_some(Segment { expected, items, refused: None })
    }

    /// Position after it.
    pub fn next(&self) -> i64 {
        self.expected + self.items.iter().map(Item::offsets).sum::<i64>()
    }

    /// Bytes of payload in it.
    pub fn bytes(&self) -> usize {
        self.items.iter().map(Item::bytes).sum()
    }

    /// The two halves, in order, of a segment of several records.
    pub fn split(mut self) -> (Segment, Option<Segment>) {
        let rest = self.items.split_off(self.items.len().div_ceil(2));
        let rest = Segment::new(self.next(), rest);
        (self, rest)
    }

    /// What one transaction stores of it: rows of what can be read, letters of what cannot, to be tried at `retry_at`.
    pub fn to_flush(&self, of: PartitionKey, retry_at: Timestamp) -> Flush {
        let mut flush = Flush {
            of,
            expected: self.expected,
            next: self.next(),
            rows: Vec::with_capacity(self.items.len()),
            letters: Vec::new(),
            skipped: 0,
            lost: 0,
        };
        for item in &self.items {
            flush.lost += item.lost;
            flush.skipped += item.skipped;
            let Some(record) = &item.record else { continue };
            let read = match &self.refused {
                Some(refusal) => Err(refusal.clone()),
                None => LogRecord::from_json(&record.payload).map_err(|error| error.to_string().into()),
            };
            match read {
                Ok(row) => flush.rows.push(row),
                Err(refusal) => flush.letters.push(letter(record, refusal, retry_at)),
            }
        }
        flush
    }
}

fn letter(record: &topic::Record, refusal: Refusal, retry_at: Timestamp) -> NewLetter {
    let traceparent = record.headers.iter().find(|(name, _)| name == record::headers::TRACEPARENT);
    NewLetter {
        offset: record.offset,
        key: record.key.clone(),
        payload: record.payload.clone(),
        timestamp_ms: record.timestamp_ms,
        traceparent: traceparent.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
        refusal,
        retry_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { records: 4, bytes: 100, linger: Duration::from_millis(50) };

    fn record(offset: i64, bytes: usize) -> topic::Record {
        let payload = vec![b'x'; bytes].into();
        topic::Record { offset, timestamp_ms: 0, key: "acme".into(), payload, headers: vec![] }
    }

    fn of() -> PartitionKey {
        PartitionKey { topic: record::Uuid::nil(), partition: 0, epoch: 0 }
    }

    #[test]
    fn a_batch_is_due_by_count_by_bytes_and_by_time() {
        let now = Instant::now();
        let filled = |bytes: &[usize]| {
            let mut batch = Batch::new(0, LIMITS);
            batch.push(0, bytes.iter().zip(0..).map(|(bytes, offset)| record(offset, *bytes)).collect(), now);
            batch
        };
        assert!(!filled(&[]).is_due(now + LIMITS.linger));
        assert!(!filled(&[1, 1, 1]).is_due(now));
        assert!(filled(&[1, 1, 1]).is_due(now + LIMITS.linger));
        assert!(filled(&[1, 1, 1, 1]).is_due(now));
        assert!(filled(&[100]).is_due(now));
    }

    #[test]
    fn gaps_are_lost_below_the_log_start_and_skipped_from_there() {
        let mut batch = Batch::new(10, LIMITS);
        batch.push(15, vec![record(9, 1), record(17, 1), record(18, 1)], Instant::now());
        let flush = batch.take(Instant::now()).unwrap().to_flush(of(), Timestamp::MIN);
        assert_eq!((flush.expected, flush.next, flush.lost, flush.skipped), (10, 19, 5, 2));
        assert_eq!(flush.letters.len(), 2, "what is not JSON is set aside");
    }

    #[test]
    fn what_is_lost_is_accounted_for_although_no_record_follows() {
        let now = Instant::now();
        let mut batch = Batch::new(10, LIMITS);
        batch.push(10, vec![], now);
        assert!(batch.take(now).is_none(), "nothing is lost");
        batch.push(10, vec![record(10, 1)], now);
        batch.push(15, vec![], now);
        batch.push(15, vec![record(15, 1)], now);
        let flush = batch.take(now).unwrap().to_flush(of(), Timestamp::MIN);
        assert_eq!((flush.expected, flush.next, flush.lost, flush.letters.len()), (10, 16, 4, 2));
        batch.push(20, vec![], now);
        let flush = batch.take(now).unwrap().to_flush(of(), Timestamp::MIN);
        assert_eq!((flush.expected, flush.next, flush.lost, flush.letters.len()), (16, 20, 4, 0));
    }

    proptest! {
        /// Whatever comes in, with gaps, repeats and a moving log start: the segments, cut and halved anyhow, follow
        /// each other without a hole and account for every offset.
        #[test]
        fn segments_account_for_every_offset(
            steps in proptest::collection::vec((1..5_i64, 0..60_usize, 0..3_i64), 1..40), halve in any::<bool>(),
        ) {
            let now = Instant::now();
            let mut batch = Batch::new(0, LIMITS);
            let mut offset = -1;
            for (ahead, bytes, start_ahead) in steps {
                offset += ahead;
                batch.push(offset - start_ahead, vec![record(offset, bytes), record(offset - 1, 1)], now);
            }
            let mut position = 0;
            while let Some(segment) = batch.take(now) {
                let parts = if halve && segment.items.len() > 1 {
                    let (first, second) = segment.split();
                    vec![first, second.unwrap()]
                } else {
                    vec![segment]
                };
                for part in parts {
                    prop_assert!(part.items.len() <= LIMITS.records);
                    let flush = part.to_flush(of(), Timestamp::MIN);
                    prop_assert_eq!(flush.expected, position);
                    let records = (flush.rows.len() + flush.letters.len()) as i64;
                    prop_assert_eq!(flush.next - flush.expected, records + flush.lost + flush.skipped);
                    position = flush.next;
                }
            }
            prop_assert_eq!(position, offset + 1);
            prop_assert_eq!(batch.bytes(), 0);
        }
    }
}
