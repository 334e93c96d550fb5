//! The accept loop: lets connections in, watches over their limits, and ends them in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::{Clock, Millis, Phase, Times, Verdict};
use super::connection::{Handle, Order, Shared, run};
use super::gauges::Gauges;
use super::linger::linger;
use super::{Drained, Limits};
use crate::cores::Cores;

/// Pause after the system had no file or memory for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that are closed in two steps at one time; more are closed at once.
const MOST_REFUSALS: usize = 64;
/// The part of all connections that makes room at once, so that the search for them is worth it.
const EVICTED_PART: usize = 64;
/// After a search for idle connections in vain, the next one comes this much later.
const SEARCH_PAUSE: Millis = 50;
/// Largest read buffer of a connection: larger bodies arrive in pieces of this size.
const READ_BUFFER: usize = 64 << 10;
/// How long aborted connections get to end.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// The whole answer to a connection for which there is no room.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 141\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"the server is at its limit of connections; try again in a moment\"}";

pub(super) struct Acceptor<'a> {
    cores: &'a Cores,
    limits: Limits,
    clock: Clock,
    shared: Arc<Shared>,
    /// Every connection that has not been seen to have ended.
    handles: Vec<Arc<Handle>>,
    tasks: TaskTracker,
    /// Places that eviction has made and nobody has taken.
    freed: usize,
    /// When a search for idle connections is worth it again.
    search_from: Millis,
    refusals: Arc<Semaphore>,
    exhausted: bool,
}

impl<'a> Acceptor<'a> {
    pub(super) fn new(limits: Limits, gauges: Gauges, app: Router, cores: &'a Cores) -> Self {
        let mut http = http1::Builder::new();
        // The sweep keeps the time of heads: hyper would count idle time as theirs.
        http.header_read_timeout(None);
        http.max_header_size(limits.head_bytes).max_buf_size(limits.head_bytes.max(READ_BUFFER));
        let times = Times::of(&limits);
        // `with_state` makes the routes once instead of for each request.
        let shared = Shared { http, router: app.with_state(()), limits, times, gauges };
        Self {
            cores,
            limits,
            clock: Clock::start(),
            shared: Arc::new(shared),
            handles: Vec::new(),
            tasks: TaskTracker::new(),
            freed: 0,
            search_from: 0,
            refusals: Arc::new(Semaphore::new(MOST_REFUSALS)),
            exhausted: false,
        }
    }

    pub(super) async fn run(mut self, listener: TcpListener, stop: CancellationToken) -> Drained {
        let mut sweep = interval(self.shared.times.sweep);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopped = Box::pin(stop.cancelled_owned());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                _ = sweep.tick() => self.sweep(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream),
                    Err(error) => self.accept_failed(&error).await,
                },
            }
        }
        self.admit_waiting(listener);
        self.drain().await
    }

    fn admit(&mut self, stream: TcpStream) {
        if self.exhausted {
            self.exhausted = false;
            tracing::info!("accepting connections again");
        }
        if self.tasks.len() >= self.limits.connections && !self.find_room() {
            return self.refuse(stream);
        }
        // Without a runtime: it gets that of its core.
        let stream = match prepare(&stream, &self.limits).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "a connection ended before it began"),
        };
        let handle = Arc::new(Handle::new(self.clock));
        self.handles.push(Arc::clone(&handle));
        let seat = self.cores.seat();
        let (runtime, shared) = (seat.runtime(), Arc::clone(&self.shared));
        let task = async move {
            run(stream, handle, shared).await;
            drop(seat);
        };
        self.tasks.spawn_on(task, &runtime);
        self.shared.gauges.open.set(i64::try_from(self.tasks.len()).unwrap_or(i64::MAX));
        // Between two sweeps many short connections may come and go.
        if self.handles.len() > 2 * self.limits.connections.max(1024) {
            self.forget_ended();
        }
    }

    /// At the limit: ends the connections that have done nothing for longest. False when all are at work.
    fn find_room(&mut self) -> bool {
        if self.freed == 0 {
            self.freed = self.evict();
        }
        let found = self.freed > 0;
        self.freed = self.freed.saturating_sub(1);
        found
    }

    fn evict(&mut self) -> usize {
        let now = self.clock.now();
        if now < self.search_from {
            return 0;
        }
        let mut idle: Vec<_> = self
            .handles
            .iter()
            .filter(|handle| handle.evictable(now))
            .map(|handle| (handle.activity.snapshot().since, handle))
            .collect();
        let wanted = (self.limits.connections / EVICTED_PART).max(1).min(idle.len());
        if wanted == 0 {
            self.search_from = now + SEARCH_PAUSE;
        } else if wanted < idle.len() {
            idle.select_nth_unstable_by_key(wanted, |(since, _)| *since);
        }
        for (_, handle) in &idle[..wanted] {
            handle.order(Order::Evict);
        }
        wanted
    }

    fn refuse(&self, stream: TcpStream) {
        self.shared.gauges.refused.inc();
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // The send buffer of a new connection has room for so little.
            if stream.writable().await.is_ok() && stream.try_write(REFUSAL).is_ok() {
                linger(stream).await;
            }
            drop(permit);
        });
    }

    async fn accept_failed(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return;
        }
        if !self.exhausted {
            self.exhausted = true;
            tracing::error!(%error, open = self.tasks.len(), "cannot accept connections; trying again");
        }
        self.evict();
        sleep(EXHAUSTED_PAUSE).await;
    }

    /// Wakes the connections that are past a limit or hold buffers they do not need.
    fn sweep(&mut self) {
        self.forget_ended();
        self.freed = 0;
        let now = self.clock.now();
        for handle in &self.handles {
            if handle.activity.snapshot().verdict(now, &self.shared.times) != Verdict::Keep {
                handle.order(Order::Look);
            }
        }
        self.shared.gauges.open.set(i64::try_from(self.tasks.len()).unwrap_or(i64::MAX));
    }

    fn forget_ended(&mut self) {
        self.handles.retain(|handle| handle.activity.snapshot().phase != Phase::Closed);
    }

    /// Connections that the kernel has completed before the order to stop are let in, then the door is shut.
    fn admit_waiting(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while self.tasks.len() < self.limits.connections {
            // Does not wait: a listener that comes from Tokio is non-blocking.
            let Ok((stream, _)) = listener.accept() else { return };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.admit(stream);
            }
        }
    }

    async fn drain(mut self) -> Drained {
        let deadline = Instant::now() + self.limits.drain;
        self.tasks.close();
        self.forget_ended();
        let at_work: Vec<bool> = self.handles.iter().map(|handle| is_at_work(handle)).collect();
        for handle in &self.handles {
            handle.order(Order::Drain);
        }
        let _ = timeout_at(deadline, self.tasks.wait()).await;
        let mut drained = Drained::default();
        for (handle, was_at_work) in self.handles.iter().zip(at_work) {
            if is_at_work(handle) {
                drained.aborted += 1;
            } else if was_at_work {
                drained.finished += 1;
            }
            handle.order(Order::Abort);
        }
        let _ = timeout(ABORT_GRACE, self.tasks.wait()).await;
        self.shared.gauges.open.set(0);
        drained
    }
}

fn is_at_work(handle: &Handle) -> bool {
    matches!(handle.activity.snapshot().phase, Phase::Head | Phase::Busy)
}

fn prepare(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A client that vanished without a word is noticed by the bytes it does not acknowledge.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.stall))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_a_whole_http_answer() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "the body has {} bytes",
            body.len()
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
