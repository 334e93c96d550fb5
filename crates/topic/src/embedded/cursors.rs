//! Where a reader is in each of its partitions, and which one is next: a pure state machine.

use super::database::Extent;
use std::collections::BTreeMap;

/// The partitions a reader owns.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    partitions: BTreeMap<i32, Cursor>,
    /// The partition that was served last.
    last: i32,
}

#[derive(Debug, Default)]
struct Cursor {
    /// The next offset to deliver; nothing before [`Cursors::start`].
    position: Option<i64>,
    paused: bool,
}

/// A partition and the offset that it is to deliver next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Cursors {
    /// Adds a partition, which delivers nothing yet.
    pub(super) fn assign(&mut self, partition: i32) {
        self.partitions.insert(partition, Cursor::default());
    }

    /// Takes a partition away.
    pub(super) fn revoke(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Sets where a partition goes on. Whether it is this reader's.
    pub(super) fn start(&mut self, partition: i32, offset: i64) -> bool {
        let cursor = self.partitions.get_mut(&partition);
        cursor.map(|cursor| cursor.position = Some(offset.max(0))).is_some()
    }

    /// Delivers nothing more of a partition until it is started. Whether it is this reader's.
    pub(super) fn stop(&mut self, partition: i32) -> bool {
        let cursor = self.partitions.get_mut(&partition);
        cursor.map(|cursor| cursor.position = None).is_some()
    }

    /// A partition of which all that was left to deliver was trimmed, and its log start, where it goes on from now.
    pub(super) fn take_emptied(&mut self, extents: &[Extent]) -> Option<(i32, i64)> {
        self.partitions.iter_mut().filter(|(_, cursor)| !cursor.paused).find_map(|(partition, cursor)| {
            let extent = extents.get(usize::try_from(*partition).ok()?)?;
            let emptied = cursor.position? < extent.log_start && extent.log_start == extent.end;
            emptied.then(|| {
                cursor.position = Some(extent.log_start);
                (*partition, extent.log_start)
            })
        })
    }

    /// Begins or ends a pause.
    pub(super) fn set_paused(&mut self, partition: i32, paused: bool) {
        if let Some(cursor) = self.partitions.get_mut(&partition) {
            cursor.paused = paused;
        }
    }

    /// The partition whose turn it is among those with something to deliver, given what each holds.
    pub(super) fn next_due(&self, extents: &[Extent]) -> Option<Due> {
        let after = self.last.saturating_add(1);
        let mut turn = self.partitions.range(after..).chain(self.partitions.range(..after));
        turn.find_map(|(partition, cursor)| {
            let position = cursor.position.filter(|_| !cursor.paused)?;
            let extent = extents.get(usize::try_from(*partition).ok()?)?;
            let offset = position.max(extent.log_start);
            (offset < extent.end).then_some(Due { partition: *partition, offset })
        })
    }

    /// Ends the turn of a partition.
    pub(super) fn served(&mut self, partition: i32) {
        self.last = partition;
    }

    /// Whether the partition is still to deliver from that offset next.
    pub(super) fn is_due(&self, due: Due) -> bool {
        let cursor = self.partitions.get(&due.partition);
        cursor.is_some_and(|cursor| !cursor.paused && cursor.position == Some(due.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(ends: [i64; 3]) -> Vec<Extent> {
        ends.map(|end| Extent { log_start: 0, end }).to_vec()
    }

    fn started(partitions: [i32; 3]) -> Cursors {
        let mut cursors = Cursors::default();
        for partition in partitions {
            cursors.assign(partition);
            assert!(cursors.start(partition, 0));
        }
        cursors
    }

    #[test]
    fn partitions_take_turns_and_idle_ones_are_skipped() {
        let mut cursors = started([0, 1, 2]);
        let mut turns = |ends: [i64; 3]| -> Vec<i32> {
            let mut turn = || {
                let due = cursors.next_due(&extents(ends))?;
                cursors.served(due.partition);
                Some(due.partition)
            };
            (0..4).filter_map(|_| turn()).collect()
        };
        assert_eq!(turns([5, 5, 5]), [1, 2, 0, 1]);
        assert_eq!(turns([5, 0, 5]), [2, 0, 2, 0]);
        assert_eq!(turns([0, 0, 0]), [0; 0]);
    }

    #[test]
    fn only_a_started_partition_that_is_not_paused_is_due() {
        let all = extents([5, 5, 5]);
        let mut cursors = Cursors::default();
        assert!(!cursors.start(1, 0), "not ours");
        cursors.assign(1);
        assert_eq!(cursors.next_due(&all), None);
        cursors.start(1, 3);
        let due = Due { partition: 1, offset: 3 };
        assert_eq!(cursors.next_due(&all), Some(due));
        cursors.set_paused(1, true);
        assert!(!cursors.is_due(due));
        assert_eq!(cursors.next_due(&all), None);
        cursors.set_paused(1, false);
        assert!(cursors.is_due(due));
        cursors.start(1, 4);
        assert!(!cursors.is_due(due), "moved");
        cursors.revoke(1);
        assert_eq!(cursors.next_due(&all), None);
        cursors.assign(1);
        assert_eq!(cursors.next_due(&all), None, "an old position means nothing to a new owner");
    }

    #[test]
    fn what_was_trimmed_is_skipped() {
        let mut cursors = started([0, 1, 2]);
        let mut all = extents([0, 9, 0]);
        all[1].log_start = 4;
        assert_eq!(cursors.next_due(&all), Some(Due { partition: 1, offset: 4 }));
        assert_eq!(cursors.take_emptied(&all), None);
        all[1].log_start = 9;
        assert_eq!(cursors.next_due(&all), None, "nothing is left");
        assert_eq!(cursors.take_emptied(&all), Some((1, 9)));
        assert_eq!(cursors.take_emptied(&all), None, "told once");
    }
}
