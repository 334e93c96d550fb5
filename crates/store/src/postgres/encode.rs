//! Rows in the binary format of COPY, <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.55.9.4>.
//!
//! A field is its length in four bytes, then its value in network order; a row is its number of fields, then they. Rows are
//! appended to one buffer that is sent and used again, so that a row costs no allocation.

use super::failure::Failure;
use crate::PartitionKey;
use record::LogRecord;
use serde_json::value::RawValue;

/// The statement whose data [`Rows`] writes.
pub(super) const COPY: &str = "COPY logs (timestamp, place, id, stored_on, level, organization_id, service, \
                               message, trace_id, span_id, attributes) FROM STDIN (FORMAT binary)";
const FIELDS: i16 = 11;

/// Signature, no flags, no extension of the header.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
const NANOS_A_DAY: i64 = 86_400_000_000_000;
/// 2000-01-01, from which the server counts days.
const EPOCH_DAYS: i64 = 10_957;

/// Where a row came from, as the column `place` keeps it. Among rows of one organisation and time, those of a later
/// offset come later, and those of a later epoch after all of the one before; epochs beyond the 15th count as it, and
/// offsets have 42 bits. A letter's row has its own bit: its offset may be the number of another row.
pub(super) fn place(of: PartitionKey, offset: i64, of_letter: bool) -> i64 {
    let epoch = i64::from(of.epoch.clamp(0, 15));
    (((epoch << 42) + offset) << 17) | (i64::from(of_letter) << 16) | i64::from(of.partition & 0xffff)
}

/// Rows in the buffer.
pub(super) struct Rows {
    buffer: Vec<u8>,
    stored_on: i32,
}

impl Rows {
    /// An empty buffer for rows that are stored at `now` (nanoseconds since 1970).
    pub(super) fn new(now: i64, capacity: usize) -> Rows {
        let mut buffer = Vec::with_capacity(capacity);
        buffer.extend_from_slice(HEADER);
        let days = now.div_euclid(NANOS_A_DAY) - EPOCH_DAYS;
        Rows { buffer, stored_on: i32::try_from(days).unwrap_or(i32::MAX) }
    }

    /// Appends one row.
    pub(super) fn push(&mut self, record: &LogRecord, place: i64) -> Result<(), Failure> {
        self.buffer.extend_from_slice(&FIELDS.to_be_bytes());
        self.field(&record.timestamp.as_nanos().to_be_bytes())?;
        self.field(&place.to_be_bytes())?;
        self.field(record.id.as_bytes())?;
        self.field(&self.stored_on.to_be_bytes())?;
        self.field(&i16::from(record.level.number()).to_be_bytes())?;
        self.field(record.organization_id.as_str().as_bytes())?;
        self.field(record.service.as_bytes())?;
        self.field(record.message.as_bytes())?;
        self.optional(record.trace_id.as_deref())?;
        self.optional(record.span_id.as_deref())?;
        self.optional(record.attributes.as_deref().map(RawValue::get))
    }

    /// Appends the end of all rows.
    pub(super) fn finish(&mut self) {
        self.buffer.extend_from_slice(&TRAILER);
    }

    /// The bytes to send.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets the bytes that were sent.
    pub(super) fn sent(&mut self) {
        self.buffer.clear();
    }

    fn field(&mut self, value: &[u8]) -> Result<(), Failure> {
        let too_long =
            |_| Failure::refused(format!("a field of {} bytes is too long for a row", value.len()));
        let length = i32::try_from(value.len()).map_err(too_long)?;
        self.buffer.extend_from_slice(&length.to_be_bytes());
        self.buffer.extend_from_slice(value);
        Ok(())
    }

    fn optional(&mut self, value: Option<&str>) -> Result<(), Failure> {
        match value {
            Some(value) => self.field(value.as_bytes()),
            None => {
                self.buffer.extend_from_slice(&NULL);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Level, Timestamp, Uuid};

    #[test]
    fn a_row_is_laid_out_as_the_manual_says() {
        let record = LogRecord {
            id: Uuid::from_u128(1),
            organization_id: "acme".parse().unwrap(),
            timestamp: Timestamp::from_nanos(0x0102).unwrap(),
            level: Level::Error,
            service: "s".into(),
            message: "m€".into(),
            trace_id: None,
            span_id: Some(String::new()),
            attributes: None,
        };
        let mut rows = Rows::new(10_958 * NANOS_A_DAY + 5, 64);
        rows.push(&record, 7).unwrap();
        rows.finish();
        let mut expected = HEADER.to_vec();
        expected.extend([0, 11]);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7]);
        expected.extend([0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 4, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 2, 0, 4]);
        expected.extend([0, 0, 0, 4, b'a', b'c', b'm', b'e', 0, 0, 0, 1, b's']);
        expected.extend([0, 0, 0, 4, b'm', 0xe2, 0x82, 0xac]);
        expected.extend([255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255]);
        expected.extend([255, 255]);
        assert_eq!(rows.bytes(), expected);
    }

    #[test]
    fn places_follow_offsets_and_tell_letters_and_partitions_apart() {
        let of = |partition, epoch| PartitionKey { topic: Uuid::nil(), partition, epoch };
        assert!(place(of(9, 0), 1, false) < place(of(0, 0), 2, false));
        assert!(place(of(0, 0), 1 << 40, false) < place(of(0, 1), 2, false));
        assert_ne!(place(of(0, 0), 1, false), place(of(0, 0), 1, true));
        assert_ne!(place(of(0, 0), 1, false), place(of(1, 0), 1, false));
        assert!(place(of(65_535, 99), (1 << 42) - 1, true) > 0);
    }
}
