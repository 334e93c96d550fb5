//! A TCP stream that tells the connection's [`Activity`](super::activity::Activity) what passes through it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Handle;

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    /// Bytes that were read and then put back.
    pub(super) unused: Bytes,
    /// The client has closed its side.
    pub(super) ended: bool,
    /// The first bytes after a pause begin a request's head.
    pub(super) times_heads: bool,
    handle: Arc<Handle>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, handle: Arc<Handle>) -> Self {
        Self { stream, unused: Bytes::new(), ended: false, times_heads: true, handle }
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match result {
            Poll::Pending => self.handle.activity.write_blocked(self.handle.clock),
            Poll::Ready(_) => self.handle.activity.write_went_on(),
        }
        result
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.unused.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let length = self.unused.len().min(buf.remaining());
            buf.put_slice(&self.unused[..length]);
            self.unused.advance(length);
        }
        if buf.filled().len() == before {
            self.ended = true;
        } else if self.times_heads {
            self.handle.activity.received(self.handle.clock);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
