//! What a connection is doing, since when, and what follows from it. Pure: takes `now`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Limits;

/// Milliseconds since the server began, from 1 up.
pub(super) type Millis = u64;

/// The server's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(super) fn now(self) -> Millis {
        millis(self.epoch.elapsed()) + 1
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}

/// A slow client is given this long before its place may go to another, at the limit of connections.
const GRACE: Millis = 1000;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a request with no buffer that it could do without.
    Parked,
    /// Waits for the next request.
    Idle,
    /// Part of a request's head is here.
    Head,
    /// A request is being handled or answered.
    Busy,
    /// Answered and about to end: the client may still have to see it.
    Lingering,
    /// Ended.
    Closed,
}

const PHASES: [Phase; 6] =
    [Phase::Parked, Phase::Idle, Phase::Head, Phase::Busy, Phase::Lingering, Phase::Closed];
const PHASE_BITS: u32 = 3;

/// A moment of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) phase: Phase,
    /// When the phase began; means nothing for `Busy`.
    pub(super) since: Millis,
    /// Since when the client takes no bytes; 0 when it does.
    pub(super) stalled: Millis,
}

/// What should happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Idle for a while: its buffers can go.
    Park,
    /// Past one of its limits.
    Close,
}

impl Snapshot {
    pub(super) fn verdict(&self, now: Millis, times: &Times) -> Verdict {
        let longer_than = |since: Millis, limit: Millis| now.saturating_sub(since) >= limit;
        if self.stalled != 0 {
            return if longer_than(self.stalled, times.stall) { Verdict::Close } else { Verdict::Keep };
        }
        match self.phase {
            Phase::Parked | Phase::Idle if longer_than(self.since, times.idle) => Verdict::Close,
            Phase::Idle if longer_than(self.since, times.park) => Verdict::Park,
            Phase::Head if longer_than(self.since, times.head) => Verdict::Close,
            _ => Verdict::Keep,
        }
    }

    /// Whether its place may go to another connection, at the limit.
    pub(super) fn evictable(&self, now: Millis) -> bool {
        match self.phase {
            Phase::Parked | Phase::Idle => true,
            Phase::Head | Phase::Lingering => now.saturating_sub(self.since) >= GRACE,
            Phase::Busy | Phase::Closed => false,
        }
    }
}

/// The time limits of a server in the clock's unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) head: Millis,
    pub(super) idle: Millis,
    pub(super) stall: Millis,
    /// How long a connection keeps its buffers without a request.
    pub(super) park: Millis,
    /// How often connections are looked at.
    pub(super) sweep: Duration,
}

impl Times {
    pub(super) fn of(limits: &Limits) -> Self {
        let shortest = limits.head.min(limits.idle).min(limits.stall);
        let sweep = (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1));
        Self {
            head: millis(limits.head),
            idle: millis(limits.idle),
            stall: millis(limits.stall),
            park: millis(sweep),
            sweep,
        }
    }
}

/// The current [`Snapshot`] of a connection, written by its task and read by the acceptor.
#[derive(Debug)]
pub(super) struct Activity {
    /// `since << PHASE_BITS | phase`.
    word: AtomicU64,
    stalled: AtomicU64,
    /// Parts of exchanges that are not over: a request body being read, an answer being made or sent.
    open_parts: AtomicU32,
    /// The last request's body was not read to its end.
    unread: AtomicBool,
    /// Pieces of answers that wait for the client's HTTP/2 windows or for the socket.
    pieces: AtomicU32,
    /// When the last of them went, or the first one came.
    piece_moved: AtomicU64,
}

impl Activity {
    pub(super) fn new(now: Millis) -> Self {
        let activity = Self {
            word: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            open_parts: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            pieces: AtomicU32::new(0),
            piece_moved: AtomicU64::new(0),
        };
        activity.enter(Phase::Parked, now);
        activity
    }

    pub(super) fn enter(&self, phase: Phase, now: Millis) {
        let code = PHASES.iter().position(|known| *known == phase).unwrap_or_default() as u64;
        self.word.store(now << PHASE_BITS | code, Ordering::Release);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let word = self.word.load(Ordering::Acquire);
        let code = usize::try_from(word & ((1 << PHASE_BITS) - 1)).unwrap_or_default();
        let mut phase = PHASES[code];
        // A part of the last exchange may end, on another thread, while the next one has begun.
        if phase == Phase::Idle && self.open_parts.load(Ordering::Acquire) > 0 {
            phase = Phase::Busy;
        }
        let mut stalled = self.stalled.load(Ordering::Relaxed);
        if stalled == 0 && self.pieces.load(Ordering::Acquire) > 0 {
            stalled = self.piece_moved.load(Ordering::Acquire);
        }
        Snapshot { phase, since: word >> PHASE_BITS, stalled }
    }

    /// Nothing is to be done any more, unless a request is still at work or on its way.
    pub(super) fn leave(&self, now: Millis) {
        if self.snapshot().phase != Phase::Busy {
            self.enter(Phase::Lingering, now);
        }
    }

    /// Between [`Phase::Parked`] and [`Phase::Idle`]; it has been waiting all the same.
    pub(super) fn keep_waiting(&self, phase: Phase) {
        self.enter(phase, self.snapshot().since);
    }

    /// Bytes arrived: the first ones after a pause begin a head.
    pub(super) fn received(&self, clock: Clock) {
        if self.snapshot().phase == Phase::Idle {
            self.enter(Phase::Head, clock.now());
        }
    }

    /// A request's head is complete. Its parts begin next.
    pub(super) fn exchange_began(&self) {
        self.unread.store(false, Ordering::Relaxed);
        self.enter(Phase::Busy, 0);
    }

    pub(super) fn part_began(&self) {
        self.open_parts.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn part_ended(&self, clock: Clock) {
        if self.open_parts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.enter(Phase::Idle, clock.now());
        }
    }

    pub(super) fn body_left_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_unread_body(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    pub(super) fn piece_given(&self, clock: Clock) {
        // First the time: with a piece and an old time the client would look as if it had waited since then.
        if self.pieces.load(Ordering::Acquire) == 0 {
            self.piece_moved.store(clock.now(), Ordering::Release);
        }
        self.pieces.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn piece_taken(&self, clock: Clock) {
        self.piece_moved.store(clock.now(), Ordering::Release);
        self.pieces.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn write_blocked(&self, clock: Clock) {
        if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(clock.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn write_went_on(&self) {
        if self.stalled.load(Ordering::Relaxed) != 0 {
            self.stalled.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        Times::of(&Limits::default())
    }

    fn at(phase: Phase, since: Millis) -> Snapshot {
        Snapshot { phase, since, stalled: 0 }
    }

    #[test]
    fn an_idle_connection_is_parked_then_closed() {
        let idle = at(Phase::Idle, 1000);
        assert_eq!(idle.verdict(1999, &times()), Verdict::Keep);
        assert_eq!(idle.verdict(2000, &times()), Verdict::Park);
        let parked = at(Phase::Parked, 1000);
        assert_eq!(parked.verdict(75_999, &times()), Verdict::Keep);
        assert_eq!(parked.verdict(76_000, &times()), Verdict::Close);
    }

    #[test]
    fn a_head_has_its_own_time() {
        assert_eq!(at(Phase::Head, 1000).verdict(10_999, &times()), Verdict::Keep);
        assert_eq!(at(Phase::Head, 1000).verdict(11_000, &times()), Verdict::Close);
    }

    #[test]
    fn work_takes_as_long_as_it_takes_unless_the_client_stops_reading() {
        assert_eq!(at(Phase::Busy, 1).verdict(10_000_000, &times()), Verdict::Keep);
        let stalled = Snapshot { stalled: 5000, ..at(Phase::Busy, 1) };
        assert_eq!(stalled.verdict(34_999, &times()), Verdict::Keep);
        assert_eq!(stalled.verdict(35_000, &times()), Verdict::Close);
        let unsent = Snapshot { stalled: 5000, ..at(Phase::Idle, 1) };
        assert_eq!(unsent.verdict(30_000, &times()), Verdict::Keep, "an answer not yet sent is never parked");
    }

    #[test]
    fn only_connections_that_do_nothing_make_room() {
        assert!(at(Phase::Idle, 1000).evictable(1000));
        assert!(!at(Phase::Head, 1000).evictable(1500), "a head just begun is not slow");
        assert!(at(Phase::Head, 1000).evictable(2000));
        assert!(at(Phase::Lingering, 1000).evictable(2000));
        assert!(!at(Phase::Busy, 1000).evictable(100_000));
    }

    #[test]
    fn an_exchange_is_busy_until_its_last_part_ends() {
        let clock = Clock::start();
        let activity = Activity::new(clock.now());
        activity.keep_waiting(Phase::Idle);
        activity.received(clock);
        assert_eq!(activity.snapshot().phase, Phase::Head);
        activity.exchange_began();
        activity.part_began();
        activity.part_began();
        activity.part_ended(clock);
        activity.received(clock);
        assert_eq!(activity.snapshot().phase, Phase::Busy);
        activity.part_ended(clock);
        assert_eq!(activity.snapshot().phase, Phase::Idle);
    }
}
