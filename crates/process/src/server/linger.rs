//! Closing a connection whose client may still be sending, so that it reads its answer (RFC 9112 section 9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Longest time in all.
const TOTAL: Duration = Duration::from_secs(10);
/// Longest time without a byte from the client.
const QUIET: Duration = Duration::from_secs(2);
/// Most bytes discarded.
const MOST_BYTES: usize = 256 << 20;
/// Bytes discarded in one read.
const SCRATCH: usize = 16 << 10;

/// Ends our side, then discards what arrives until the client ends its side or a limit is reached.
///
/// A socket closed with unread bytes is reset, and a reset may destroy the answer before the client has read it.
pub(super) async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let end = Instant::now() + TOTAL;
    let mut scratch = vec![0; SCRATCH];
    let mut discarded = 0;
    while discarded < MOST_BYTES {
        let quiet = Instant::now() + QUIET;
        match timeout_at(quiet.min(end), stream.read(&mut scratch)).await {
            Ok(Ok(length)) if length > 0 => discarded += length,
            _ => return,
        }
    }
}
