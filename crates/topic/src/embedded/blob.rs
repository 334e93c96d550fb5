//! The blob that a batch of records is in the database: a header, then one frame a record.
//!
//! ```text
//! header  version u8 | crc32 u32 of all that follows | appended_ms i64 | records u32
//! frame   key bytes u32 | payload bytes u32 | headers u32 | key | payload
//!         and a header each: name bytes u32 | value bytes u32 | name | value
//! ```
//! Numbers are little endian. A record's offset is the batch's base offset plus its place in the blob.

use crate::{Header, NewRecord, Record};
use bytes::{Buf, Bytes};

const VERSION: u8 = 1;
const CHECKSUM: std::ops::Range<usize> = 1..5;
const COUNT: std::ops::Range<usize> = 13..17;
/// Bytes in front of the first frame.
pub(super) const HEADER_BYTES: usize = 17;
/// Bytes of a frame besides key, payload and headers.
const FRAME_BYTES: usize = 12;
/// Bytes of a record's header besides name and value.
const NAME_VALUE_BYTES: usize = 8;

/// Bytes that the record has in a blob.
pub(super) fn frame_bytes(record: &NewRecord) -> usize {
    FRAME_BYTES + record.size() + NAME_VALUE_BYTES * record.headers.len()
}

/// Collects records into one blob. Allocates once: what fits is known when it is made.
pub(super) struct Builder {
    bytes: Vec<u8>,
    count: u32,
    capacity: usize,
}

impl Builder {
    /// A blob with room for `frames` bytes of frames.
    pub(super) fn new(frames: usize, appended_ms: i64) -> Builder {
        let capacity = HEADER_BYTES + frames;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&appended_ms.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Builder { bytes, count: 0, capacity }
    }

    /// Whether a frame of that many bytes still fits.
    pub(super) fn has_room(&self, frame: usize) -> bool {
        self.bytes.len() + frame <= self.capacity
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &NewRecord) {
        self.length(record.key.len());
        self.length(record.payload.len());
        self.length(record.headers.len());
        self.bytes.extend_from_slice(&record.key);
        self.bytes.extend_from_slice(&record.payload);
        for (name, value) in &record.headers {
            self.length(name.len());
            self.length(value.len());
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(value);
        }
        self.count += 1;
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).expect("the writer refuses records of 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }

    /// The blob and how many records it has.
    pub(super) fn finish(mut self) -> (Bytes, u32) {
        self.bytes[COUNT].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32fast::hash(&self.bytes[CHECKSUM.end..]);
        self.bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        (Bytes::from(self.bytes), self.count)
    }
}

/// What is wrong with a blob.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlobError {
    #[error("its format is version {0}, this program reads version {VERSION}")]
    Version(u8),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it ends before its last record")]
    Short,
    #[error("{0} bytes follow its last record")]
    Long(usize),
    #[error("the name of a header is not UTF-8")]
    HeaderName,
}

/// Checks the version and the checksum of a blob that comes from the disk.
pub(super) fn verify(blob: &[u8]) -> Result<(), BlobError> {
    let version = *blob.first().ok_or(BlobError::Short)?;
    if version != VERSION {
        return Err(BlobError::Version(version));
    }
    if blob.len() < HEADER_BYTES {
        return Err(BlobError::Short);
    }
    match crc32fast::hash(&blob[CHECKSUM.end..]) == u32_at(blob, CHECKSUM.start) {
        true => Ok(()),
        false => Err(BlobError::Checksum),
    }
}

/// Appends the records of a verified blob to `records`, those below offset `from` left out. Keys, payloads and
/// header values are slices of the blob.
pub(super) fn decode(blob: &Bytes, base: i64, from: i64, records: &mut Vec<Record>) -> Result<(), BlobError> {
    if blob.len() < HEADER_BYTES {
        return Err(BlobError::Short);
    }
    let mut header = &blob[CHECKSUM.end..HEADER_BYTES];
    let timestamp_ms = header.get_i64_le();
    let count = header.get_u32_le();
    let mut rest = Frames { blob, at: HEADER_BYTES };
    for offset in (base..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let [key, payload, headers] = [rest.length()?, rest.length()?, rest.length()?];
        let key = rest.range(key)?;
        let payload = rest.range(payload)?;
        let headers = rest.headers(headers)?;
        if offset >= from {
            let [key, payload] = [blob.slice(key), blob.slice(payload)];
            records.push(Record { offset, timestamp_ms, key, payload, headers });
        }
    }
    match blob.len() - rest.at {
        0 => Ok(()),
        left => Err(BlobError::Long(left)),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// Walks over the frames of a blob; every step checks that the bytes are there.
struct Frames<'a> {
    blob: &'a Bytes,
    at: usize,
}

impl Frames<'_> {
    fn range(&mut self, length: usize) -> Result<std::ops::Range<usize>, BlobError> {
        let start = self.at;
        let end = start.checked_add(length).filter(|end| *end <= self.blob.len()).ok_or(BlobError::Short)?;
        self.at = end;
        Ok(start..end)
    }

    fn length(&mut self) -> Result<usize, BlobError> {
        let at = self.range(4)?.start;
        usize::try_from(u32_at(self.blob, at)).map_err(|_| BlobError::Short)
    }

    fn headers(&mut self, count: usize) -> Result<Vec<Header>, BlobError> {
        let mut headers = Vec::new();
        for _ in 0..count {
            let [name, value] = [self.length()?, self.length()?];
            let name = self.range(name)?;
            let name = std::str::from_utf8(&self.blob[name]).map_err(|_| BlobError::HeaderName)?.to_owned();
            headers.push((name, self.blob.slice(self.range(value)?)));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
    }

    fn new_record() -> impl Strategy<Value = NewRecord> {
        let headers = prop::collection::vec((".{0,8}", bytes(16)), 0..3);
        (bytes(16), bytes(64), headers).prop_map(|(key, payload, headers)| NewRecord {
            key,
            payload,
            headers,
        })
    }

    fn blob(records: &[NewRecord]) -> Bytes {
        let mut builder = Builder::new(records.iter().map(frame_bytes).sum(), 1_700_000_000_123);
        for record in records {
            assert!(builder.has_room(frame_bytes(record)));
            builder.push(record);
        }
        assert!(!builder.has_room(1), "the size is known exactly");
        builder.finish().0
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(new in prop::collection::vec(new_record(), 1..20), skip in 0_usize..20) {
            let blob = blob(&new);
            prop_assert_eq!(verify(&blob), Ok(()));
            let mut records = Vec::new();
            let from = 100 + i64::try_from(skip).unwrap();
            prop_assert_eq!(decode(&blob, 100, from, &mut records), Ok(()));
            prop_assert_eq!(records.len(), new.len().saturating_sub(skip));
            for (i, record) in records.iter().enumerate() {
                let expected = &new[skip + i];
                prop_assert_eq!(record.offset, from + i64::try_from(i).unwrap());
                prop_assert_eq!(record.timestamp_ms, 1_700_000_000_123);
                prop_assert_eq!(&record.key, &expected.key);
                prop_assert_eq!(&record.payload, &expected.payload);
                prop_assert_eq!(&record.headers, &expected.headers);
            }
        }

        #[test]
        fn any_damage_is_noticed(new in prop::collection::vec(new_record(), 1..5), place: prop::sample::Index, bit in 0..8_u8) {
            let mut damaged = blob(&new).to_vec();
            let place = place.index(damaged.len());
            damaged[place] ^= 1_u8 << bit;
            prop_assert!(verify(&damaged).is_err());
        }

        /// Even a blob whose checksum is right by chance is read without a panic and without a wild allocation.
        #[test]
        fn noise_is_an_error_not_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut records = Vec::new();
            let mut blob = vec![VERSION];
            blob.extend_from_slice(&noise);
            let read = decode(&Bytes::from(blob), 0, 0, &mut records);
            prop_assert!(read.is_err() || records.len() <= noise.len() / FRAME_BYTES);
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut blob = blob(&[]).to_vec();
        blob[0] = 9;
        assert_eq!(verify(&blob), Err(BlobError::Version(9)));
        assert_eq!(verify(&[]), Err(BlobError::Short));
        assert_eq!(verify(&[VERSION, 0]), Err(BlobError::Short));
    }
}
