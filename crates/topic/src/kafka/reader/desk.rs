//! What passes between a reader and the thread that polls for it: news, one batch of each partition, and wishes.

use crate::{Assignment, Batch, Event, ReadError, Revocation};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Where the two sides meet. Bounded: a partition has one batch here at most, and the thread collects the next one
/// when that was taken.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// There may be something to take.
    readable: Notify,
    pub(super) bell: Bell,
}

#[derive(Default)]
struct State {
    news: VecDeque<Result<Event, ReadError>>,
    slots: BTreeMap<i32, Slot>,
    /// Partition whose turn was last.
    last: i32,
    starts: u64,
    commits: BTreeMap<i32, i64>,
    closed: bool,
}

/// A partition that was announced.
struct Slot {
    log_start: i64,
    phase: Phase,
    paused: bool,
    /// Tells batches collected for this start from those of an earlier one.
    start: u64,
    /// Offset to read next.
    next: i64,
    /// Whether records came since the start.
    moved: bool,
    stopped: bool,
    pending: Option<Batch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for its reader to say where to begin.
    Announced,
    /// Waits for the thread to begin there.
    Starting,
    Reading,
    /// The brokers do not have its next offset; where to go on is being found out.
    Halted,
    /// Its next offset is beyond the end: only its reader can say what to do.
    Parked,
}

/// A partition to begin with, or to collect records of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) partition: i32,
    pub(super) next: i64,
    pub(super) log_start: i64,
    pub(super) start: u64,
    /// Whether librdkafka has stopped fetching it, for an offset that the brokers do not have.
    pub(super) stopped: bool,
}

/// What the thread knows of a partition that halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Halt {
    pub(super) next: i64,
    pub(super) moved: bool,
}

/// The side of the reader.
impl Desk {
    /// Waits for what is next.
    pub(super) async fn next(&self) -> Result<Event, ReadError> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.readable.notified().await;
        }
    }

    fn take(&self) -> Option<Result<Event, ReadError>> {
        let mut state = self.lock();
        if let Some(news) = state.news.pop_front() {
            return Some(news);
        }
        let batch = state.take_batch()?;
        drop(state);
        self.bell.ring();
        Some(Ok(Event::Records(batch)))
    }

    /// False when the partition is not this reader's.
    pub(super) fn start(&self, partition: i32, offset: i64) -> bool {
        let mut state = self.lock();
        state.starts += 1;
        let start = state.starts;
        let Some(slot) = state.slots.get_mut(&partition) else { return false };
        (slot.phase, slot.start, slot.next, slot.moved) = (Phase::Starting, start, offset.max(0), false);
        slot.pending = None;
        drop(state);
        self.bell.ring();
        true
    }

    pub(super) fn set_paused(&self, partition: i32, paused: bool) {
        if let Some(slot) = self.lock().slots.get_mut(&partition) {
            slot.paused = paused;
        }
        if !paused {
            self.readable.notify_one();
            self.bell.ring();
        }
    }

    pub(super) fn commit(&self, partition: i32, next_offset: i64) {
        self.lock().commits.insert(partition, next_offset);
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.ring();
    }
}

/// The side of the thread.
impl Desk {
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Tells the reader of partitions that it has from now on.
    pub(super) fn announce(&self, assignments: Vec<Assignment>) {
        if assignments.is_empty() {
            return;
        }
        let mut state = self.lock();
        for Assignment { partition, log_start, .. } in &assignments {
            let slot = Slot {
                log_start: *log_start,
                phase: Phase::Announced,
                paused: false,
                start: 0,
                next: 0,
                moved: false,
                stopped: false,
                pending: None,
            };
            state.slots.insert(*partition, slot);
        }
        state.news.push_back(Ok(Event::Assigned(assignments)));
        drop(state);
        self.readable.notify_one();
    }

    /// Takes partitions back and tells the reader, who answers by `released`. Nothing of them is delivered any more.
    /// False, and `released` is forgotten, when the reader has none of them.
    pub(super) fn revoke(&self, partitions: &[i32], released: Box<dyn FnOnce() + Send>) -> bool {
        let mut state = self.lock();
        let known = |partition: &i32| state.slots.remove(partition).is_some();
        let partitions: Vec<i32> = partitions.iter().copied().filter(known).collect();
        if partitions.is_empty() {
            return false;
        }
        state.news.push_back(Ok(Event::Revoked(Revocation { partitions, released: Some(released) })));
        drop(state);
        self.readable.notify_one();
        true
    }

    /// Tells the reader why nothing comes; not again before it has heard.
    pub(super) fn trouble(&self, why: String) {
        let mut state = self.lock();
        if !state.news.iter().any(Result::is_err) {
            state.news.push_back(Err(ReadError(why)));
            drop(state);
            self.readable.notify_one();
        }
    }

    pub(super) fn announced(&self) -> Vec<i32> {
        self.lock().slots.keys().copied().collect()
    }

    /// Partitions that are to begin, or to begin elsewhere; they count as begun and fetched.
    pub(super) fn take_starts(&self) -> Vec<Due> {
        let mut state = self.lock();
        let starting = state.slots.iter_mut().filter(|(_, slot)| slot.phase == Phase::Starting);
        starting
            .map(|(partition, slot)| {
                let due = slot.due(*partition);
                (slot.phase, slot.stopped) = (Phase::Reading, false);
                due
            })
            .collect()
    }

    /// It did not begin, or is to begin again where it is.
    pub(super) fn start_again(&self, partition: i32, stopped: bool) {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get_mut(&partition).filter(|slot| slot.phase == Phase::Reading) {
            (slot.phase, slot.stopped) = (Phase::Starting, stopped);
        }
    }

    /// Partitions that records are to be collected of.
    pub(super) fn wanted(&self) -> Vec<Due> {
        let state = self.lock();
        let wanted = state.slots.iter().filter(|(_, slot)| slot.wants_records());
        wanted.map(|(partition, slot)| slot.due(*partition)).collect()
    }

    /// Lays down what was collected for `due`; thrown away when the partition began elsewhere meanwhile.
    pub(super) fn offer(&self, due: Due, batch: Batch) {
        let mut state = self.lock();
        let slot = state.slots.get_mut(&due.partition);
        let Some(slot) = slot.filter(|slot| slot.start == due.start && slot.phase == Phase::Reading) else {
            return;
        };
        if let Some(last) = batch.records.last() {
            (slot.next, slot.moved) = (last.offset + 1, true);
            slot.pending = Some(batch);
        }
        drop(state);
        self.readable.notify_one();
    }

    /// The brokers do not have the next offset of the partition. False when it began elsewhere meanwhile.
    pub(super) fn halt(&self, due: Due) -> bool {
        let mut state = self.lock();
        let slot = state.slots.get_mut(&due.partition);
        let Some(slot) = slot.filter(|slot| slot.start == due.start && slot.phase == Phase::Reading) else {
            return false;
        };
        (slot.phase, slot.stopped) = (Phase::Halted, true);
        true
    }

    pub(super) fn halted(&self, partition: i32) -> Option<Halt> {
        let state = self.lock();
        let slot = state.slots.get(&partition).filter(|slot| slot.phase == Phase::Halted)?;
        Some(Halt { next: slot.next, moved: slot.moved })
    }

    /// Ends a halt: reads on from an offset. `log_start` is what the partition holds now.
    pub(super) fn read_on(&self, partition: i32, next: i64, log_start: i64) {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get_mut(&partition).filter(|slot| slot.phase == Phase::Halted) {
            (slot.phase, slot.next, slot.log_start) = (Phase::Starting, next, log_start);
            drop(state);
            self.bell.ring();
        }
    }

    /// Leaves a halted partition alone until it is started elsewhere.
    pub(super) fn park(&self, partition: i32) {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get_mut(&partition).filter(|slot| slot.phase == Phase::Halted) {
            slot.phase = Phase::Parked;
        }
    }

    pub(super) fn take_commits(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.lock().commits)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A batch of the partition whose turn it is.
    fn take_batch(&mut self) -> Option<Batch> {
        let ready =
            |(partition, slot): (&i32, &Slot)| (slot.pending.is_some() && !slot.paused).then_some(*partition);
        let after = self.last.saturating_add(1);
        let partition = self.slots.range(after..).chain(self.slots.range(..after)).find_map(ready)?;
        self.last = partition;
        self.slots.get_mut(&partition)?.pending.take()
    }
}

impl Slot {
    fn wants_records(&self) -> bool {
        self.phase == Phase::Reading && !self.paused && self.pending.is_none()
    }

    fn due(&self, partition: i32) -> Due {
        Due {
            partition,
            next: self.next,
            log_start: self.log_start,
            start: self.start,
            stopped: self.stopped,
        }
    }
}

/// Wakes the thread; one ring is enough for all that happened before it looks.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    pub(super) fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, TopicId};
    use bytes::Bytes;

    fn desk(partitions: &[i32]) -> Desk {
        let desk = Desk::default();
        let topic = TopicId(uuid::Uuid::nil());
        let assignment = |partition: &i32| Assignment { topic, partition: *partition, log_start: 0, end: 9 };
        desk.announce(partitions.iter().map(assignment).collect());
        assert!(matches!(desk.take(), Some(Ok(Event::Assigned(_)))));
        desk
    }

    fn batch(partition: i32, offsets: std::ops::Range<i64>) -> Batch {
        let record = |offset| Record {
            offset,
            timestamp_ms: 0,
            key: Bytes::new(),
            payload: Bytes::new(),
            headers: Vec::new(),
        };
        Batch { partition, log_start: 0, records: offsets.map(record).collect() }
    }

    fn started(partitions: &[i32]) -> Desk {
        let desk = desk(partitions);
        for partition in partitions {
            assert!(desk.start(*partition, 0));
        }
        assert_eq!(desk.take_starts().len(), partitions.len());
        desk
    }

    fn fill(desk: &Desk) {
        for due in desk.wanted() {
            desk.offer(due, batch(due.partition, due.next..due.next + 1));
        }
    }

    fn taken(desk: &Desk) -> Option<(i32, i64)> {
        match desk.take()? {
            Ok(Event::Records(batch)) => Some((batch.partition, batch.records[0].offset)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn partitions_take_turns_one_batch_each() {
        let desk = started(&[0, 1, 2]);
        fill(&desk);
        assert_eq!(desk.wanted(), [], "one batch of each is at hand");
        assert_eq!([taken(&desk), taken(&desk)], [Some((1, 0)), Some((2, 0))]);
        fill(&desk);
        assert_eq!([taken(&desk), taken(&desk), taken(&desk)], [Some((0, 0)), Some((1, 1)), Some((2, 1))]);
        assert_eq!(taken(&desk), None);
    }

    #[test]
    fn what_is_paused_is_kept() {
        let desk = started(&[0]);
        fill(&desk);
        desk.set_paused(0, true);
        assert_eq!(taken(&desk), None);
        assert_eq!(desk.wanted(), []);
        desk.set_paused(0, false);
        assert_eq!(taken(&desk), Some((0, 0)));
    }

    #[test]
    fn a_new_start_forgets_what_was_collected_for_the_old_one() {
        let desk = started(&[0]);
        let old = desk.wanted()[0];
        fill(&desk);
        desk.start(0, 5);
        assert_eq!(taken(&desk), None);
        assert_eq!(desk.wanted(), [], "the thread has to begin first");
        let starts = desk.take_starts();
        assert_eq!((starts[0].partition, starts[0].next), (0, 5));
        desk.offer(old, batch(0, 1..2));
        assert_eq!(taken(&desk), None, "collected for the old start");
        assert!(!desk.halt(old), "an error of the old start");
        fill(&desk);
        assert_eq!(taken(&desk), Some((0, 5)));
    }

    #[test]
    fn nothing_of_a_revoked_partition_follows() {
        let desk = started(&[0, 1]);
        let old = desk.wanted()[0];
        fill(&desk);
        assert!(desk.revoke(&[0, 7], Box::new(|| ())));
        match desk.take() {
            Some(Ok(Event::Revoked(revocation))) => assert_eq!(revocation.partitions, [0]),
            other => panic!("{other:?}"),
        }
        desk.offer(old, batch(0, 1..2));
        assert_eq!([taken(&desk), taken(&desk)], [Some((1, 0)), None]);
        assert!(!desk.start(0, 0), "it is another's");
        assert!(!desk.revoke(&[0], Box::new(|| ())), "nobody has to let it go");
    }

    #[test]
    fn a_halt_ends_where_the_thread_says_or_never() {
        let desk = started(&[0, 1]);
        for due in desk.wanted() {
            assert!(desk.halt(due));
        }
        assert_eq!(desk.halted(0), Some(Halt { next: 0, moved: false }));
        desk.read_on(0, 3, 3);
        desk.park(1);
        let starts = desk.take_starts();
        assert_eq!(starts.len(), 1);
        assert_eq!((starts[0].next, starts[0].log_start), (3, 3));
        assert_eq!(desk.halted(1), None);
        desk.start(1, 2);
        assert_eq!(desk.take_starts()[0].next, 2, "started elsewhere");
    }

    #[test]
    fn trouble_is_told_once_until_it_is_heard() {
        let desk = desk(&[0]);
        desk.trouble("no broker".into());
        desk.trouble("still no broker".into());
        assert!(matches!(desk.take(), Some(Err(ReadError(why))) if why == "no broker"));
        assert!(desk.take().is_none());
    }
}
