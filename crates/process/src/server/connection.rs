//! One connection's life: parked (a socket and nothing else), active (hyper speaks HTTP on it), parked again, closed.
//! One that speaks HTTP/2 stays active, see [`super::http2`].

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::Limits;
use super::activity::{Activity, Clock, Millis, Phase, Times, Verdict};
use super::exchange::App;
use super::gauges::Gauges;
use super::linger::linger;
use super::preface::{PREFACE, Version, version};
use super::socket::Socket;

/// What the acceptor and a connection's task share.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) activity: Activity,
    pub(super) clock: Clock,
    orders: AtomicU8,
    wake: Notify,
}

/// What the acceptor tells a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Look at your own limits.
    Look = 1,
    /// End if you do nothing: your place is needed.
    Evict = 2,
    /// End when the request in flight is answered.
    Drain = 4,
    /// End now.
    Abort = 8,
}

impl Handle {
    pub(super) fn new(clock: Clock) -> Self {
        Self { activity: Activity::new(clock.now()), clock, orders: AtomicU8::new(0), wake: Notify::new() }
    }

    pub(super) fn order(&self, order: Order) {
        self.orders.fetch_or(order as u8, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// Whether its place may go to another connection and has not been taken yet.
    pub(super) fn evictable(&self, now: Millis) -> bool {
        !Orders(self.orders.load(Ordering::Acquire)).has(Order::Evict)
            && self.activity.snapshot().evictable(now)
    }

    pub(super) async fn orders(&self) -> Orders {
        self.wake.notified().await;
        Orders(self.orders.swap(0, Ordering::AcqRel))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Orders(u8);

impl Orders {
    fn has(self, order: Order) -> bool {
        self.0 & order as u8 != 0
    }
}

/// What every connection of a server needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) http: http1::Builder,
    pub(super) router: axum::Router,
    pub(super) limits: Limits,
    pub(super) times: Times,
    pub(super) gauges: Gauges,
}

/// Serves a connection until it ends, on the runtime that this runs on.
pub(super) async fn run(stream: std::net::TcpStream, handle: Arc<Handle>, shared: Arc<Shared>) {
    let _closed = Closed(Arc::clone(&handle));
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "a connection ended before it began"),
    };
    let mut connection = Connection { handle, shared, version: None, draining: false };
    let mut socket = Socket::new(stream, Arc::clone(&connection.handle));
    while connection.request_came(&mut socket).await {
        match connection.version(&mut socket).await {
            Some(Version::One) => {}
            // Boxed: its state is large, and an idle connection of HTTP/1.1 would have room for it as well.
            Some(Version::Two) => return Box::pin(connection.speak_http2(socket)).await,
            None => return,
        }
        match connection.speak(socket).await {
            Next::Park(parked) => socket = parked,
            Next::Close => return,
            Next::Linger(stream) => return connection.linger(stream).await,
        }
    }
}

/// Says that the connection has ended, however it ended.
struct Closed(Arc<Handle>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.activity.enter(Phase::Closed, 0);
    }
}

enum Next {
    Park(Socket),
    Linger(TcpStream),
    Close,
}

/// At the order to stop a request may have arrived that the runtime has not told of yet: it is still answered.
fn take_waiting(socket: &mut Socket) -> bool {
    let mut first = [0; 4096];
    match (&*socket2::SockRef::from(&socket.stream)).read(&mut first) {
        Ok(length) if length > 0 => {
            socket.unused = Bytes::copy_from_slice(&first[..length]);
            true
        }
        _ => false,
    }
}

/// What orders mean for a connection at this moment.
pub(super) enum Course {
    GoOn,
    Park,
    /// Ask hyper to end after this request.
    Drain,
    /// Leave hyper, which has nothing to do, and see whether one more request has arrived.
    DrainIdle,
    /// End: nothing is to be done here any more.
    Leave,
    /// End at once.
    Close,
}

pub(super) struct Connection {
    pub(super) handle: Arc<Handle>,
    pub(super) shared: Arc<Shared>,
    /// What the client speaks, once its first bytes have told.
    pub(super) version: Option<Version>,
    pub(super) draining: bool,
}

impl Connection {
    /// Waits without any buffer until bytes are there; false when the connection should end.
    async fn request_came(&mut self, socket: &mut Socket) -> bool {
        if !socket.unused.is_empty() {
            return true;
        }
        if self.draining {
            return take_waiting(socket);
        }
        self.handle.activity.keep_waiting(Phase::Parked);
        let mut first = [0; PREFACE.len()];
        loop {
            tokio::select! {
                biased;
                arrived = socket.stream.peek(&mut first) => {
                    let length = arrived.unwrap_or(0);
                    self.version = self.version.or_else(|| version(&first[..length]));
                    return length > 0;
                }
                orders = self.handle.orders() => match self.course(orders) {
                    Course::GoOn | Course::Park => {}
                    Course::Leave | Course::Close => return false,
                    Course::Drain | Course::DrainIdle => return take_waiting(socket),
                },
            }
        }
    }

    /// Speaks HTTP until the connection ends or has been idle for a while.
    async fn speak(&mut self, socket: Socket) -> Next {
        self.handle.activity.keep_waiting(Phase::Idle);
        let app = App::new(self.shared.router.clone(), Arc::clone(&self.handle));
        let mut http = Box::pin(self.shared.http.serve_connection(TokioIo::new(socket), app));
        if self.draining {
            // Not at once: hyper would close a connection from which it has read nothing yet.
            self.handle.order(Order::Drain);
        }
        let ended = loop {
            tokio::select! {
                biased;
                ended = http.as_mut() => break ended,
                orders = self.handle.orders() => match self.course(orders) {
                    Course::GoOn => {}
                    Course::Drain => http.as_mut().graceful_shutdown(),
                    Course::Leave | Course::Close => return Next::Close,
                    Course::Park | Course::DrainIdle => {
                        let parts = Pin::into_inner(http).into_parts();
                        let mut socket = parts.io.into_inner();
                        socket.unused = parts.read_buf;
                        return Next::Park(socket);
                    }
                },
            }
        };
        let refused = ended.as_ref().is_err_and(hyper::Error::is_parse);
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
        }
        let socket = Pin::into_inner(http).into_parts().io.into_inner();
        let still_sending = refused || self.handle.activity.has_unread_body();
        if still_sending && !socket.ended { Next::Linger(socket.stream) } else { Next::Close }
    }

    pub(super) async fn linger(&mut self, stream: TcpStream) {
        self.handle.activity.enter(Phase::Lingering, self.handle.clock.now());
        let mut lingering = Box::pin(linger(stream));
        loop {
            tokio::select! {
                () = &mut lingering => return,
                orders = self.handle.orders() => match self.course(orders) {
                    Course::Leave | Course::Close => return,
                    Course::GoOn | Course::Park | Course::Drain | Course::DrainIdle => {}
                },
            }
        }
    }

    pub(super) fn course(&mut self, orders: Orders) -> Course {
        let now = self.handle.clock.now();
        let snapshot = self.handle.activity.snapshot();
        if orders.has(Order::Abort) {
            return Course::Close;
        }
        if orders.has(Order::Evict) && snapshot.evictable(now) {
            self.shared.gauges.evicted.inc();
            return Course::Leave;
        }
        if orders.has(Order::Drain) {
            let at_once = !std::mem::replace(&mut self.draining, true) && snapshot.phase == Phase::Idle;
            return if at_once && snapshot.stalled == 0 { Course::DrainIdle } else { Course::Drain };
        }
        match snapshot.verdict(now, &self.shared.times) {
            Verdict::Keep => Course::GoOn,
            // hyper has written and flushed everything when nothing is open and nothing is stalled.
            Verdict::Park if self.draining => Course::GoOn,
            Verdict::Park => Course::Park,
            Verdict::Close => {
                self.shared.gauges.timed_out.inc();
                let idle = matches!(snapshot.phase, Phase::Parked | Phase::Idle) && snapshot.stalled == 0;
                if idle { Course::Leave } else { Course::Close }
            }
        }
    }
}
