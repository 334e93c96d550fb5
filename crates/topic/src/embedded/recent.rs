//! The batches appended last, in memory: a reader that keeps up never reads the file.

use super::database::Batch;
use std::collections::VecDeque;

/// Batches of all partitions, the oldest dropped when they have too many bytes.
pub(super) struct Recent {
    limit: usize,
    bytes: usize,
    /// In the order they were appended; offsets of a partition rise without a gap.
    order: VecDeque<usize>,
    partitions: Vec<VecDeque<Batch>>,
}

impl Recent {
    /// Keeps about `limit` bytes.
    pub(super) fn new(partitions: usize, limit: usize) -> Recent {
        Recent { limit, bytes: 0, order: VecDeque::new(), partitions: vec![VecDeque::new(); partitions] }
    }

    /// Adds a batch that follows the last one of its partition.
    pub(super) fn push(&mut self, batch: Batch) {
        let Some(partition) = index(batch.partition).filter(|index| *index < self.partitions.len()) else {
            return;
        };
        self.bytes += batch.blob.len();
        self.order.push_back(partition);
        self.partitions[partition].push_back(batch);
        while self.bytes > self.limit {
            let Some(oldest) = self.order.pop_front() else { return };
            let batch = self.partitions[oldest].pop_front();
            self.bytes -= batch.map_or(0, |batch| batch.blob.len());
        }
    }

    /// The batch that holds `offset` and those after it, up to about `most_bytes`; empty when it is not here any more.
    pub(super) fn from(&self, partition: i32, offset: i64, most_bytes: usize) -> Vec<Batch> {
        let Some(batches) = index(partition).and_then(|index| self.partitions.get(index)) else {
            return Vec::new();
        };
        let first = batches.partition_point(|batch| batch.end() <= offset);
        let mut bytes = 0;
        let holds = |batch: &&Batch| batch.base_offset <= offset;
        let wanted = if batches.get(first).as_ref().is_some_and(holds) {
            batches.range(first..)
        } else {
            batches.range(..0)
        };
        wanted
            .take_while(|batch| {
                let fits = bytes == 0 || bytes + batch.blob.len() <= most_bytes;
                bytes += batch.blob.len();
                fits
            })
            .cloned()
            .collect()
    }
}

fn index(partition: i32) -> Option<usize> {
    usize::try_from(partition).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn batch(partition: i32, base_offset: i64, count: u32) -> Batch {
        Batch { partition, base_offset, count, blob: Bytes::from(vec![0; 100]) }
    }

    fn found(recent: &Recent, partition: i32, offset: i64, most_bytes: usize) -> Vec<i64> {
        recent.from(partition, offset, most_bytes).iter().map(|batch| batch.base_offset).collect()
    }

    #[test]
    fn finds_the_batch_that_holds_an_offset_and_what_follows() {
        let mut recent = Recent::new(2, 10_000);
        for base in [10, 15, 20, 25] {
            recent.push(batch(1, base, 5));
        }
        assert_eq!(found(&recent, 1, 9, 1000), Vec::<i64>::new(), "older than all");
        assert_eq!(found(&recent, 1, 10, 1000), [10, 15, 20, 25]);
        assert_eq!(found(&recent, 1, 24, 1000), [20, 25]);
        assert_eq!(found(&recent, 1, 30, 1000), Vec::<i64>::new(), "not there yet");
        assert_eq!(found(&recent, 0, 10, 1000), Vec::<i64>::new(), "another partition");
        assert_eq!(found(&recent, 9, 10, 1000), Vec::<i64>::new(), "no partition");
        assert_eq!(found(&recent, 1, 10, 200), [10, 15], "bounded");
        assert_eq!(found(&recent, 1, 10, 1), [10], "but never nothing");
    }

    #[test]
    fn drops_the_oldest_of_all_partitions() {
        let mut recent = Recent::new(2, 250);
        recent.push(batch(0, 0, 5));
        recent.push(batch(1, 0, 5));
        recent.push(batch(0, 5, 5));
        assert_eq!(found(&recent, 0, 0, 1000), Vec::<i64>::new());
        assert_eq!(found(&recent, 0, 5, 1000), [5]);
        assert_eq!(found(&recent, 1, 0, 1000), [0]);
        recent.push(Batch { blob: Bytes::from(vec![0; 300]), ..batch(1, 5, 5) });
        assert_eq!(found(&recent, 1, 5, 1000), Vec::<i64>::new(), "larger than all that is kept");
        assert_eq!(recent.bytes, 0);
    }
}
