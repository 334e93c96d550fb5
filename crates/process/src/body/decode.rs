//! Content decoding into a buffer that refuses to grow past its limits.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::HeaderValue;

use super::{BodyError, Reservation};

/// Largest zstd window, as a power of two: 8 MiB, what RFC 9659 section 3 allows for the `zstd` content coding.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What a gzip decoder takes besides its output, roughly.
const GZIP_STATE: usize = 80 << 10;
/// What a zstd decoder takes besides its output and its window, roughly.
const ZSTD_STATE: usize = 256 << 10;
/// First allocation for a body whose decoded length is not known.
const FIRST_CAPACITY: usize = 16 << 10;
/// A declared length is allocated at once up to here; past it the buffer doubles as bytes arrive.
const TRUSTED_LENGTH: usize = 256 << 10;
/// Capacity beyond the content that is given back at the end.
const WORTH_SHRINKING: usize = 64 << 10;
/// Compressed bytes decoded in one step, so that a bomb is interrupted between steps.
const STEP: usize = 4 << 10;
/// Decoded bytes after which other tasks get their turn.
const TURN: usize = 256 << 10;

/// A content coding of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// Content codings are case-insensitive and `x-gzip` is gzip (RFC 9110 section 8.4.1).
    pub(super) fn of(header: Option<&HeaderValue>) -> Result<Self, BodyError> {
        let Some(header) = header else { return Ok(Self::Identity) };
        let coding = header.as_bytes().trim_ascii();
        if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
            Ok(Self::Identity)
        } else if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            Ok(Self::Gzip)
        } else if coding.eq_ignore_ascii_case(b"zstd") {
            Ok(Self::Zstd)
        } else {
            Err(BodyError::unsupported(header))
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Memory of a decoder whose output has this capacity.
    fn overhead(self, capacity: usize) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip => GZIP_STATE,
            // The window repeats the end of the output.
            Self::Zstd => ZSTD_STATE + capacity.min(1 << ZSTD_WINDOW_LOG_MAX),
        }
    }
}

/// Decodes a body piece by piece.
pub(super) struct Decoder {
    encoding: Encoding,
    stream: Stream,
}

enum Stream {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

impl Decoder {
    /// `declared` is the length on the wire, when the request says it.
    pub(super) fn new(
        encoding: Encoding,
        declared: Option<u64>,
        limit: usize,
        mut reservation: Reservation,
    ) -> Result<Self, BodyError> {
        if !reservation.set(encoding.overhead(0)) {
            return Err(BodyError::Busy);
        }
        let expected = declared.and_then(|length| usize::try_from(length).ok());
        let expected = expected.filter(|_| encoding == Encoding::Identity);
        let sink = Sink { out: Vec::new(), expected, limit, encoding, reservation, refused: None };
        let corrupt =
            |error: io::Error| BodyError::Corrupt { coding: encoding.name(), reason: error.to_string() };
        let stream = match encoding {
            Encoding::Identity => Stream::Identity(sink),
            Encoding::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(sink).map_err(corrupt)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(corrupt)?;
                Stream::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { encoding, stream })
    }

    /// Decodes the next piece, giving other tasks their turn while it grows.
    pub(super) async fn push(&mut self, data: &[u8]) -> Result<(), BodyError> {
        if let Stream::Identity(sink) = &mut self.stream {
            let result = sink.write_all(data);
            return result.map_err(|error| self.failed(&error));
        }
        let mut turn = self.sink().out.len() + TURN;
        for step in data.chunks(STEP) {
            let result = match &mut self.stream {
                Stream::Identity(sink) => sink.write_all(step),
                Stream::Gzip(decoder) => decoder.write_all(step),
                Stream::Zstd(decoder) => decoder.write_all(step),
            };
            result.map_err(|error| self.failed(&error))?;
            if self.sink().out.len() >= turn {
                turn = self.sink().out.len() + TURN;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// The whole body; an error when the coded stream is cut short.
    pub(super) fn finish(mut self) -> Result<Bytes, BodyError> {
        let result = match &mut self.stream {
            Stream::Identity(_) => Ok(()),
            Stream::Gzip(decoder) => decoder.try_finish(),
            Stream::Zstd(decoder) => decoder.do_finish(),
        };
        result.map_err(|error| self.failed(&error))?;
        let sink = match self.stream {
            Stream::Identity(sink) => Ok(sink),
            Stream::Gzip(decoder) => decoder.finish(),
            Stream::Zstd(decoder) => Ok(decoder.into_inner()),
        };
        let sink = sink.map_err(|error| corrupt(self.encoding, &error))?;
        Ok(sink.into_bytes())
    }

    fn sink(&self) -> &Sink {
        match &self.stream {
            Stream::Identity(sink) => sink,
            Stream::Gzip(decoder) => decoder.get_ref(),
            Stream::Zstd(decoder) => decoder.get_ref(),
        }
    }

    /// A decoder passes the sink's refusal on as an IO error; the sink knows what it really was.
    fn failed(&self, error: &io::Error) -> BodyError {
        match self.sink().refused {
            Some(Refusal::Limit) => BodyError::DecodedTooLarge { limit: self.sink().limit },
            Some(Refusal::Budget) => BodyError::Busy,
            None => corrupt(self.encoding, error),
        }
    }
}

fn corrupt(encoding: Encoding, error: &io::Error) -> BodyError {
    BodyError::Corrupt { coding: encoding.name(), reason: error.to_string() }
}

#[derive(Clone, Copy, Debug)]
enum Refusal {
    Limit,
    Budget,
}

/// The decoded bytes; writing fails rather than pass the limit or the budget.
struct Sink {
    out: Vec<u8>,
    expected: Option<usize>,
    limit: usize,
    encoding: Encoding,
    reservation: Reservation,
    refused: Option<Refusal>,
}

impl Sink {
    fn grow(&mut self, needed: usize) -> Result<(), Refusal> {
        if needed > self.limit {
            return Err(Refusal::Limit);
        }
        let capacity = next_capacity(self.out.capacity(), needed, self.expected).min(self.limit);
        if !self.reservation.set(capacity + self.encoding.overhead(capacity)) {
            return Err(Refusal::Budget);
        }
        self.out.reserve_exact(capacity - self.out.len());
        Ok(())
    }

    fn into_bytes(mut self) -> Bytes {
        if self.out.capacity() - self.out.len() > WORTH_SHRINKING {
            self.out.shrink_to_fit();
        }
        if !self.reservation.is_bounded() {
            return Bytes::from(self.out);
        }
        self.reservation.set(self.out.capacity());
        Bytes::from_owner(Charged { out: self.out, _reservation: self.reservation })
    }
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let needed = self.out.len() + data.len();
        if needed > self.out.capacity()
            && let Err(refusal) = self.grow(needed)
        {
            self.refused = Some(refusal);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the charge for as long as the bytes are there.
struct Charged {
    out: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.out
    }
}

/// How large a buffer becomes that must hold `needed` bytes: a declared length at once when it is small, else double.
fn next_capacity(current: usize, needed: usize, expected: Option<usize>) -> usize {
    match expected {
        Some(length) => length.min((current * 2).max(TRUSTED_LENGTH)).max(needed),
        None => (current * 2).max(FIRST_CAPACITY).max(needed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_is_trusted_only_so_far() {
        assert_eq!(next_capacity(0, 10, Some(700)), 700, "a small body takes one exact allocation");
        assert_eq!(next_capacity(0, 10, Some(10 << 20)), TRUSTED_LENGTH);
        assert_eq!(next_capacity(TRUSTED_LENGTH, TRUSTED_LENGTH + 1, Some(10 << 20)), 2 * TRUSTED_LENGTH);
        assert_eq!(next_capacity(6 << 20, (6 << 20) + 1, Some(10 << 20)), 10 << 20, "and never past its end");
        assert_eq!(next_capacity(0, 10, None), FIRST_CAPACITY);
    }

    #[test]
    fn codings_are_known_by_name_in_any_case() {
        let of = |text| Encoding::of(Some(&HeaderValue::from_static(text)));
        assert_eq!(of("GZip").unwrap(), Encoding::Gzip);
        assert_eq!(of("x-gzip").unwrap(), Encoding::Gzip);
        assert_eq!(of("zstd").unwrap(), Encoding::Zstd);
        assert_eq!(of(" identity ").unwrap(), Encoding::Identity);
        assert_eq!(Encoding::of(None).unwrap(), Encoding::Identity);
        assert!(matches!(of("br"), Err(BodyError::UnsupportedEncoding { coding }) if coding == "br"));
        assert!(of("gzip, gzip").is_err());
    }
}
