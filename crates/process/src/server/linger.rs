//! Closing a connection or a stream whose client may still be sending, so that it reads its answer (RFC 9112 section
//! 9.6).

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::HttpBody;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

/// Longest time in all.
const TOTAL: Duration = Duration::from_secs(10);
/// Longest time without a byte from the client.
const QUIET: Duration = Duration::from_secs(2);
/// Most bytes discarded.
const MOST_BYTES: usize = 256 << 20;
/// Most bytes discarded of a stream: as many as may be on their way when the answer is given.
const MOST_OF_A_STREAM: usize = 256 << 10;
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

/// Discards what is on its way of a request that nobody reads any more, on a stream of HTTP/2.
///
/// A body that is dropped resets its stream. That is allowed once the answer is out (RFC 9113 section 8.1), but
/// clients in use (curl 7.88) then fail and do not show the answer.
pub(super) fn discard(mut body: Incoming) {
    // A runtime that is ending has dropped the stream's task: nobody is there to read an answer.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(timeout(QUIET, async move {
        let mut left = MOST_OF_A_STREAM;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}
