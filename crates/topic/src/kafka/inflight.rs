//! Requests that wait for Kafka's acknowledgement: bounded, each answered as a whole when its last record is settled.

use crate::{AppendError, Failure};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const RETRY_AFTER: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(5);

/// What may wait at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// A record that waits: which request, and its place there. Fits a pointer, which is what librdkafka keeps a record;
/// the alternative, a reference to the request and the place on the heap, is an allocation a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) request: u32,
    pub(super) index: u32,
}

const _: () = assert!(usize::BITS == 64, "a ticket is a pointer of 64 bits");

impl Ticket {
    pub(super) fn to_word(self) -> usize {
        (self.request as usize) << 32 | self.index as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    pub(super) fn from_word(word: usize) -> Ticket {
        Ticket { request: (word >> 32) as u32, index: word as u32 }
    }
}

/// All requests that wait.
pub(super) struct InFlight {
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    /// By number; a number is free again when its request is answered.
    requests: Vec<Option<Request>>,
    free: Vec<u32>,
    records: usize,
    bytes: usize,
    /// How long the request answered last had waited.
    last_wait: Duration,
}

struct Request {
    unsettled: usize,
    records: usize,
    bytes: usize,
    since: Instant,
    failures: Vec<Failure>,
    answer: oneshot::Sender<Vec<Failure>>,
}

impl InFlight {
    pub(super) fn new(limits: Limits) -> InFlight {
        let state =
            State { requests: Vec::new(), free: Vec::new(), records: 0, bytes: 0, last_wait: Duration::ZERO };
        InFlight { limits, state: Mutex::new(state) }
    }

    /// Lets a request of at least one record in, or says at once when to try again. The answer are the failures, in
    /// no order, when every record was settled.
    pub(super) fn open(
        &self,
        records: usize,
        bytes: usize,
        now: Instant,
    ) -> Result<(u32, oneshot::Receiver<Vec<Failure>>), AppendError> {
        let mut state = self.lock();
        if state.records + records > self.limits.records || state.bytes + bytes > self.limits.bytes {
            let waited = state.oldest(now).max(state.last_wait);
            return Err(AppendError::QueueFull {
                retry_after: waited.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end()),
            });
        }
        let (answer, answered) = oneshot::channel();
        let failures = Vec::new();
        let request = Request { unsettled: records, records, bytes, since: now, failures, answer };
        state.records += records;
        state.bytes += bytes;
        Ok((state.put(request), answered))
    }

    /// A record is durable, or is not and why. Every record of a request is settled once; the clock is read for the last.
    pub(super) fn settle(
        &self,
        ticket: Ticket,
        outcome: Result<(), AppendError>,
        now: impl FnOnce() -> Instant,
    ) {
        let mut state = self.lock();
        let slot = state.requests.get_mut(ticket.request as usize).expect("the request was opened");
        let request = slot.as_mut().expect("a request is there until its last record is settled");
        request.unsettled -= 1;
        if let Err(error) = outcome {
            request.failures.push(Failure { index: ticket.index as usize, error });
        }
        if request.unsettled == 0 {
            let Some(request) = slot.take() else { return };
            state.free.push(ticket.request);
            state.records -= request.records;
            state.bytes -= request.bytes;
            state.last_wait = now().saturating_duration_since(request.since);
            drop(state);
            // Whoever asked may have gone away.
            request.answer.send(request.failures).ok();
        }
    }

    /// How long the oldest request has waited.
    pub(super) fn oldest(&self, now: Instant) -> Duration {
        self.lock().oldest(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, request: Request) -> u32 {
        if let Some(number) = self.free.pop() {
            self.requests[number as usize] = Some(request);
            return number;
        }
        self.requests.push(Some(request));
        u32::try_from(self.requests.len() - 1).expect("records, and so requests, are bounded")
    }

    fn oldest(&self, now: Instant) -> Duration {
        let since = self.requests.iter().flatten().map(|request| request.since).min();
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight() -> InFlight {
        InFlight::new(Limits { records: 5, bytes: 100 })
    }

    fn unavailable() -> AppendError {
        AppendError::Unavailable("timed out".into())
    }

    #[test]
    fn a_ticket_survives_the_word() {
        for (request, index) in [(0, 0), (0, u32::MAX), (u32::MAX, 0), (7, 9)] {
            let ticket = Ticket { request, index };
            assert_eq!(Ticket::from_word(ticket.to_word()), ticket);
        }
    }

    #[test]
    fn a_request_is_answered_once_with_what_failed() {
        let (waiting, now) = (in_flight(), Instant::now());
        let (request, mut answered) = waiting.open(3, 10, now).unwrap();
        waiting.settle(Ticket { request, index: 2 }, Ok(()), || now);
        waiting.settle(Ticket { request, index: 1 }, Err(unavailable()), || now);
        assert!(answered.try_recv().is_err(), "a record is missing");
        waiting.settle(Ticket { request, index: 0 }, Ok(()), || now);
        assert_eq!(answered.try_recv().unwrap(), [Failure { index: 1, error: unavailable() }]);
    }

    #[test]
    fn what_is_too_much_is_refused_until_there_is_room() {
        let (waiting, now) = (in_flight(), Instant::now());
        let (first, _first) = waiting.open(3, 10, now).unwrap();
        let later = now + Duration::from_secs(2);
        let full = AppendError::QueueFull { retry_after: Duration::from_secs(2) };
        assert_eq!(waiting.open(3, 10, later).unwrap_err(), full, "records");
        assert_eq!(waiting.open(1, 91, later).unwrap_err(), full, "bytes");
        let (second, _second) = waiting.open(2, 90, later).unwrap();
        for index in 0..3 {
            waiting.settle(Ticket { request: first, index }, Err(unavailable()), || later);
        }
        let (third, _third) = waiting.open(3, 10, later).unwrap();
        assert_eq!((third, second), (first, 1), "numbers are used again, but not of one that waits");
    }

    #[test]
    fn an_answer_that_nobody_waits_for_makes_room_all_the_same() {
        let (waiting, now) = (in_flight(), Instant::now());
        let (request, answered) = waiting.open(5, 100, now).unwrap();
        drop(answered);
        for index in 0..5 {
            waiting.settle(Ticket { request, index }, Ok(()), || now);
        }
        assert!(waiting.open(5, 100, now).is_ok());
    }
}
