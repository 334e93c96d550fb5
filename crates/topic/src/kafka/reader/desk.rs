//! What passes between a reader and the thread that polls for it: news, one batch of each partition, and wishes.

use super::bell::Bell;
use crate::{Assignment, Batch, Event, ReadError, Revocation, Truncation};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    ended: bool,
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
    /// Whether it is read again because of a gap at its next offset.
    doubted: bool,
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
        let Some(batch) = state.take_batch() else {
            return state.ended.then(|| Err(ReadError("its thread has ended".into())));
        };
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
        (slot.pending, slot.doubted) = (None, false);
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

    /// Nothing more will be laid down.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.readable.notify_one();
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
                doubted: false,
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
        slot.pending = slot.believe(batch);
        let doubted = slot.doubted;
        drop(state);
        self.readable.notify_one();
        if doubted {
            self.bell.ring();
        }
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

    /// Ends a halt: reads on from an offset. `log_start` is what the partition holds now; the reader hears of it even
    /// when no record follows.
    pub(super) fn read_on(&self, partition: i32, next: i64, log_start: i64) {
        let mut state = self.lock();
        if let Some(slot) = state.slots.get_mut(&partition).filter(|slot| slot.phase == Phase::Halted) {
            if next > slot.next {
                slot.pending = Some(Batch { partition, log_start, records: Vec::new() });
                self.readable.notify_one();
            }
            (slot.phase, slot.next, slot.log_start) = (Phase::Starting, next, log_start);
            drop(state);
            self.bell.ring();
        }
    }

    /// Tells the reader that a halted partition ends before its next offset, and leaves it alone until it is started
    /// elsewhere.
    pub(super) fn truncated(&self, truncation: Truncation) {
        let mut state = self.lock();
        let slot = state.slots.get_mut(&truncation.partition);
        if let Some(slot) = slot.filter(|slot| slot.phase == Phase::Halted) {
            slot.phase = Phase::Parked;
            state.news.push_back(Ok(Event::Truncated(truncation)));
            drop(state);
            self.readable.notify_one();
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
    /// What is delivered of the batch: its records up to a gap. Only control records and compaction leave gaps, and
    /// topics of ours have neither, so a gap is believed when it is still there after reading again from before it: a
    /// consumer that lost its place must not look like records that were never there.
    fn believe(&mut self, mut batch: Batch) -> Option<Batch> {
        let first = batch.records.first()?.offset;
        let from = if self.doubted { first } else { self.next };
        let run =
            batch.records.iter().zip(from..).take_while(|(record, offset)| record.offset == *offset).count();
        self.doubted = run < batch.records.len();
        if self.doubted {
            batch.records.truncate(run);
            self.phase = Phase::Starting;
        }
        let last = batch.records.last()?;
        (self.next, self.moved) = (last.offset + 1, true);
        Some(batch)
    }

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

#[cfg(test)]
mod tests;
