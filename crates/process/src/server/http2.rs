//! A connection that speaks HTTP/2 (RFC 9113), from its preface to its end.

use std::pin::pin;

use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::time::{Duration, Instant, sleep};

use super::Limits;
use super::activity::Phase;
use super::connection::{Connection, Course};
use super::exchange::App;
use super::preface::{PREFACE, Version, version};
use super::socket::Socket;
use super::stream::{PIECE, Runner, Streams};

/// Bytes of one request's body that may be on their way or unread.
const STREAM_WINDOW: u32 = 256 << 10;
/// And of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams that a client may have opened and reset before they were looked at (CVE-2023-44487).
const EARLY_RESETS: usize = 20;
/// Streams that a connection may lose to mistakes of its client.
const FAULTY_STREAMS: usize = 1024;
/// How long a client may take to see that the connection ends, so that no request of its is lost on the way.
const GOODBYE: Duration = Duration::from_millis(250);

fn builder(limits: &Limits, runner: Runner) -> http2::Builder<Runner> {
    let mut builder = http2::Builder::new(runner);
    builder
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(FAULTY_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(PIECE);
    builder
}

/// How an HTTP/2 connection came to its end.
enum End {
    /// It was cut off, or had nothing more to say.
    Cut,
    /// Its last frames were written a moment ago.
    Said,
}

impl Connection {
    /// What the client speaks; `None` when the connection should end before that is clear.
    pub(super) async fn version(&mut self, socket: &mut Socket) -> Option<Version> {
        if self.version.is_none() {
            self.version = self.rest_of_preface(socket).await;
        }
        self.version
    }

    /// Reads until the first bytes tell the version. They count as a head: slow ones are cut off.
    async fn rest_of_preface(&mut self, socket: &mut Socket) -> Option<Version> {
        let mut first = Vec::with_capacity(PREFACE.len());
        first.extend_from_slice(&std::mem::take(&mut socket.unused));
        self.handle.activity.enter(Phase::Head, self.handle.clock.now());
        loop {
            if let Some(version) = version(&first) {
                socket.unused = first.into();
                return Some(version);
            }
            tokio::select! {
                biased;
                read = socket.stream.read_buf(&mut first) => if !read.is_ok_and(|length| length > 0) {
                    return None;
                },
                orders = self.handle.orders() => match self.course(orders) {
                    Course::GoOn | Course::Park | Course::Drain | Course::DrainIdle => {}
                    Course::Leave | Course::Close => return None,
                },
            }
        }
    }

    /// Speaks HTTP/2 until the connection ends. It is not parked: what it knows of its client has to stay.
    pub(super) async fn speak_http2(&mut self, mut socket: Socket) {
        // Frames come at any time; only the client's requests count.
        socket.times_heads = false;
        self.handle.activity.enter(Phase::Idle, self.handle.clock.now());
        let end = self.exchange_frames(&mut socket).await;
        // A client that still sends (its windows, say) would be reset, and not see the last frames.
        if matches!(end, End::Said) && !socket.ended {
            self.linger(socket.stream).await;
        }
    }

    async fn exchange_frames(&mut self, socket: &mut Socket) -> End {
        let runner = Runner {
            handle: self.handle.clone(),
            stall: self.shared.times.stall,
            stalled: self.shared.gauges.stalled_streams.clone(),
        };
        let streams = Streams(App::new(self.shared.router.clone(), self.handle.clone()));
        let http = builder(&self.shared.limits, runner).serve_connection(TokioIo::new(socket), streams);
        let mut http = pin!(http);
        let mut leaving = self.draining;
        if leaving {
            http.as_mut().graceful_shutdown();
        }
        let mut goodbye = pin!(sleep(GOODBYE));
        loop {
            tokio::select! {
                biased;
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
                    }
                    return End::Said;
                }
                orders = self.handle.orders() => match self.course(orders) {
                    Course::GoOn => {}
                    // Nothing can go; and nobody needs to ask again until there was a request.
                    Course::Park => self.handle.activity.keep_waiting(Phase::Parked),
                    Course::Close => return End::Cut,
                    Course::Leave if leaving => return End::Cut,
                    Course::Leave | Course::Drain | Course::DrainIdle => {
                        leaving = true;
                        http.as_mut().graceful_shutdown();
                        goodbye.as_mut().reset(Instant::now() + GOODBYE);
                        self.handle.activity.leave(self.handle.clock.now());
                    }
                },
                () = goodbye.as_mut(), if leaving => {
                    if self.handle.activity.snapshot().phase != Phase::Busy {
                        return End::Cut;
                    }
                    goodbye.as_mut().reset(Instant::now() + GOODBYE);
                }
            }
        }
    }
}
