//! A server of HTTP/1.1 and HTTP/2 in which no client can take more than its share.
//!
//! A connection speaks HTTP/2 when it begins with its preface (RFC 9113 section 3.3, prior knowledge).
//!
//! - **Connections** are limited. At the limit those idle longest are closed to make room (kept alive between
//!   requests, opened without a request, slow to send a head); when every connection is at work, a new one gets a
//!   short 503 with `Retry-After`. An idle connection is a socket and a small task without buffers, so ten thousand
//!   of them do no harm to the others.
//! - **Time**: a head must arrive within [`Limits::head`], an idle connection ends after [`Limits::idle`], and a
//!   client that takes no bytes of its answer for [`Limits::stall`] is cut off. Bodies have their own limits, see
//!   [`crate::body`]; how long a handler takes is the handler's business.
//! - **HTTP/2** has the same limits. A stream whose answer nobody takes is reset, and the connection is cut off when
//!   nothing is taken on any; streams at one time, early resets, windows and buffers are bounded (about 1 MiB of
//!   requests, 32 KiB of each answer); idle connections are told (GOAWAY) before they end.
//! - **Closing** with part of a request unread is done in two steps (RFC 9112 section 9.6): the answer and the end
//!   of our side first, then what the client still sends is discarded up to a limit, so that it sees the answer and
//!   not a reset.
//! - **Stopping** lets requests in flight finish; see [`Server::serve`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

mod accept;
mod activity;
mod connection;
mod exchange;
mod gauges;
mod http2;
mod linger;
mod preface;
mod socket;
mod stream;

use crate::cores::Cores;
use gauges::Gauges;

/// Connections that the kernel completes before the server accepts them.
const BACKLOG: u32 = 4096;
/// Open files asked of the system, at most.
const MOST_FILES: u64 = 1 << 20;
/// Open files that are not for connections: databases, logs, outgoing connections.
const OTHER_FILES: u64 = 320;
/// Least memory that hyper accepts for a connection's read buffer.
const LEAST_BUFFER: usize = 8 << 10;

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at one time; lowered by [`Server::bind`] to what the system's open-file limit allows.
    pub connections: usize,
    /// Most bytes of a request line and headers; more is answered 431. At least 8 KiB.
    pub head_bytes: usize,
    /// Most requests at one time on a connection that speaks HTTP/2; more wait at the client or are refused.
    pub streams: u32,
    /// Longest time from the first byte of a request to the end of its headers; of a connection that speaks HTTP/2,
    /// to the end of its preface.
    pub head: Duration,
    /// Longest time without a request.
    pub idle: Duration,
    /// Longest time that an answer waits for the client to take bytes.
    pub stall: Duration,
    /// Longest time that requests in flight may take after the order to stop.
    pub drain: Duration,
}

impl Default for Limits {
    /// 16,000 connections of 128 streams, heads of 32 KiB within 10 s, 75 s idle, 30 s stalled, 10 s to drain.
    fn default() -> Self {
        Self {
            connections: 16_000,
            head_bytes: 32 << 10,
            streams: 128,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why a server could not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process (or another server of this one) listens there.
    #[error(
        "cannot listen on {0}: the address is in use; stop the process that has it \
         (`ss -ltnp 'sport = :{port}'` shows it) or choose another port",
        port = .0.port()
    )]
    InUse(SocketAddr),
    /// The port is reserved for privileged processes.
    #[error("cannot listen on {0}: not permitted; choose a port from 1024 up")]
    NotPermitted(SocketAddr),
    /// The address is not one of this host's.
    #[error(
        "cannot listen on {0}: this host does not have that address; use one of its own, 127.0.0.1 or 0.0.0.0"
    )]
    NotLocal(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

/// What became of the connections that were at work when the order to stop came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Got their whole answer.
    pub finished: usize,
    /// Were cut off when [`Limits::drain`] had passed.
    pub aborted: usize,
}

/// A bound listener; [`Server::serve`] starts answering.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: Limits,
    gauges: Gauges,
}

impl Server {
    /// Listens on `addr` (port 0 for any free one) and raises the process's open-file limit to fit the connections.
    ///
    /// Call it inside a Tokio runtime. Clients can connect from here on; they are answered once `serve` runs.
    pub fn bind(addr: SocketAddr, mut limits: Limits) -> Result<Self, BindError> {
        let (listener, local_addr) = listen(addr).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(addr),
            io::ErrorKind::PermissionDenied => BindError::NotPermitted(addr),
            io::ErrorKind::AddrNotAvailable => BindError::NotLocal(addr),
            _ => BindError::Other(addr, error),
        })?;
        limits.head_bytes = limits.head_bytes.max(LEAST_BUFFER);
        limits.connections = allowed_connections(limits.connections);
        Ok(Self { listener, local_addr, limits, gauges: Gauges::default() })
    }

    /// The address in use, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The limits in force, with the connections that the system allows.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Registers `http_server_connections`, `…_evicted_total`, `…_refused_total` and `…_timed_out_total`,
    /// and `http_server_streams_stalled_total`.
    pub fn register(&self, registry: &mut Registry) {
        self.gauges.register(registry);
    }

    /// Answers requests with `app` until `stop` is cancelled.
    ///
    /// Then it accepts no more connections, closes idle ones, lets requests in flight finish within
    /// [`Limits::drain`] and cuts off the rest. Handlers of endless answers (server-sent events) should hold a clone
    /// of `stop` and end when it is cancelled; the server does not hand it to them.
    pub async fn serve(self, app: Router, stop: CancellationToken) -> Drained {
        self.serve_on(&Cores::none(), app, stop).await
    }

    /// As [`Server::serve`], with the connections and their requests spread over `cores`.
    pub async fn serve_on(self, cores: &Cores, app: Router, stop: CancellationToken) -> Drained {
        accept::Acceptor::new(self.limits, self.gauges, app, cores).run(self.listener, stop).await
    }
}

fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Otherwise a restart would have to wait for the connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}

fn allowed_connections(wanted: usize) -> usize {
    let files = match rlimit::increase_nofile_limit(MOST_FILES) {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            rlimit::Resource::NOFILE.get_soft().unwrap_or(1024)
        }
    };
    let allowed = fitting_connections(wanted, files);
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            files,
            "the limit of open files allows fewer connections; raise `ulimit -n`"
        );
    }
    allowed
}

/// How many of the wanted connections fit into so many open files beside everything else.
fn fitting_connections(wanted: usize, files: u64) -> usize {
    let reserved = OTHER_FILES + files / 50;
    let room = files.saturating_sub(reserved).max(files / 2).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_open_files_for_the_rest() {
        assert_eq!(fitting_connections(16_000, 1 << 20), 16_000);
        assert_eq!(fitting_connections(16_000, 20_000), 16_000);
        assert_eq!(fitting_connections(16_000, 1024), 684);
        assert_eq!(fitting_connections(16_000, 256), 128);
    }

    #[tokio::test]
    async fn an_address_in_use_is_said_with_what_to_do() {
        let limits = Limits { connections: 10, ..Limits::default() };
        let first = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let error = Server::bind(first.local_addr(), limits).unwrap_err();
        let port = first.local_addr().port();
        assert!(matches!(error, BindError::InUse(_)));
        assert!(error.to_string().contains(&format!("sport = :{port}")), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_said() {
        let error = Server::bind("192.0.2.1:0".parse().unwrap(), Limits::default()).unwrap_err();
        assert!(matches!(error, BindError::NotLocal(_)), "{error}");
    }
}
