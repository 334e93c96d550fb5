//! Reading a request body within limits: bytes on the wire, bytes decoded, time, and memory of the whole process.
//!
//! Knows `Content-Encoding` identity, gzip (`x-gzip`, several members) and zstd (several frames). A body that grows
//! past its decoded limit is dropped at that point, so a bomb never takes more memory than the limit.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::HeaderValue;
use tokio::time::{Instant, Sleep, sleep_until};

mod budget;
mod decode;
mod error;

pub use budget::BodyBudget;
pub use error::BodyError;

use budget::Reservation;
use decode::{Decoder, Encoding};

/// What a request body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Most bytes as sent, after transfer coding, before content decoding.
    pub wire_bytes: usize,
    /// Most bytes after content decoding.
    pub decoded_bytes: usize,
    /// Longest wait for the first byte.
    pub first_byte: Duration,
    /// Longest time for the whole body.
    pub total: Duration,
    /// Slowest average pace, counted once `first_byte` has passed; 0 for none.
    pub min_bytes_per_second: u64,
}

impl Default for BodyLimits {
    /// 10 MiB on the wire, 32 MiB decoded, 10 s to the first byte, 60 s in all, 1 KiB/s.
    fn default() -> Self {
        Self {
            wire_bytes: 10 << 20,
            decoded_bytes: 32 << 20,
            first_byte: Duration::from_secs(10),
            total: Duration::from_secs(60),
            min_bytes_per_second: 1 << 10,
        }
    }
}

impl BodyLimits {
    /// When a body that began at `start`, of which `received` bytes are here, is too slow. Each byte buys time.
    fn deadline(&self, start: Instant, received: usize) -> Instant {
        let allowed = match (received, self.min_bytes_per_second) {
            (0, _) => self.first_byte,
            (_, 0) => self.total,
            (received, pace) => {
                self.first_byte + Duration::from_millis((received as u64).saturating_mul(1000) / pace)
            }
        };
        start + allowed.min(self.total)
    }
}

/// Reads and decodes a whole body, without a bound over all bodies of the process; see [`BodyBudget::read`] for one.
///
/// `content_encoding` is the request's `Content-Encoding`. A declared length over the limit is refused before a byte
/// is read. Every error closes the connection, since the rest of the body is still to come.
pub async fn read(
    body: Body,
    content_encoding: Option<&HeaderValue>,
    limits: BodyLimits,
) -> Result<Bytes, BodyError> {
    read_within(body, content_encoding, limits, Reservation::unbounded()).await
}

async fn read_within(
    mut body: Body,
    content_encoding: Option<&HeaderValue>,
    limits: BodyLimits,
    reservation: Reservation,
) -> Result<Bytes, BodyError> {
    let encoding = Encoding::of(content_encoding)?;
    let declared = body.size_hint().exact();
    if declared.is_some_and(|length| length > limits.wire_bytes as u64) {
        return Err(BodyError::TooLarge { limit: limits.wire_bytes });
    }
    let mut decoder = Decoder::new(encoding, declared, limits.decoded_bytes, reservation)?;
    let start = Instant::now();
    let mut received = 0;
    let mut timer = pin!(sleep_until(limits.deadline(start, received)));
    while let Some(chunk) = next_chunk(&mut body, timer.as_mut(), || limits.deadline(start, received)).await?
    {
        received += chunk.len();
        if received > limits.wire_bytes {
            return Err(BodyError::TooLarge { limit: limits.wire_bytes });
        }
        decoder.push(&chunk).await?;
    }
    decoder.finish()
}

/// The next piece of the body; `None` at its end. The timer is moved only when it fires, not for each piece.
async fn next_chunk(
    body: &mut Body,
    mut timer: Pin<&mut Sleep>,
    deadline: impl Fn() -> Instant,
) -> Result<Option<Bytes>, BodyError> {
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(BodyError::broken(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Pending => {}
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let deadline = deadline();
            if Instant::now() >= deadline {
                return Poll::Ready(Err(BodyError::TooSlow));
            }
            timer.as_mut().reset(deadline);
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_buys_time_up_to_the_total() {
        let limits = BodyLimits {
            first_byte: Duration::from_secs(10),
            total: Duration::from_secs(60),
            min_bytes_per_second: 1000,
            ..BodyLimits::default()
        };
        let start = Instant::now();
        let allowed = |received| limits.deadline(start, received) - start;
        assert_eq!(allowed(0), Duration::from_secs(10));
        assert_eq!(allowed(5_000), Duration::from_secs(15));
        assert_eq!(allowed(10_000_000), Duration::from_secs(60));

        let no_pace = BodyLimits { min_bytes_per_second: 0, ..limits };
        assert_eq!(no_pace.deadline(start, 1) - start, Duration::from_secs(60));
    }
}
