//! Turns the jobs of one transaction into batches, a few for each partition.

use super::blob::{self, Builder};
use super::database::{Batch, Extent};
use super::queue::Job;
use crate::{AppendError, NewRecord};
use tokio::sync::oneshot;

/// Bytes of frames that a batch has at most, unless one record alone has more.
const BATCH_BYTES: usize = 1 << 20;

/// Who waits for the answer of a job.
pub(super) type Waiter = oneshot::Sender<Result<(), AppendError>>;

/// Batches, ready to be written, and who waits for them.
pub(super) struct Packed {
    /// By partition, offsets rising.
    pub(super) batches: Vec<Batch>,
    pub(super) waiters: Vec<Waiter>,
}

/// Packs the records in the order of the jobs; the batches of a partition follow on its `end`.
pub(super) fn pack(jobs: Vec<Job>, extents: &[Extent], appended_ms: i64) -> Packed {
    let mut partitions: Vec<Packing> = extents.iter().map(|extent| Packing::new(extent.end)).collect();
    for (partition, record) in jobs.iter().flat_map(|job| &job.records) {
        partitions[*partition].to_come += blob::frame_bytes(record);
    }
    let mut waiters = Vec::with_capacity(jobs.len());
    for job in jobs {
        waiters.push(job.answer);
        for (partition, record) in job.records {
            partitions[partition].push(&record, appended_ms);
        }
    }
    let numbered = (0..).zip(partitions);
    let batches = numbered.flat_map(|(partition, packing)| packing.finish(partition)).collect();
    Packed { batches, waiters }
}

/// The batches of one partition while they are made.
struct Packing {
    /// Bytes of the frames that were not pushed yet.
    to_come: usize,
    builder: Option<Builder>,
    done: Vec<(bytes::Bytes, u32)>,
    first_offset: i64,
}

impl Packing {
    fn new(first_offset: i64) -> Packing {
        Packing { to_come: 0, builder: None, done: Vec::new(), first_offset }
    }

    fn push(&mut self, record: &NewRecord, appended_ms: i64) {
        let frame = blob::frame_bytes(record);
        if let Some(full) = self.builder.take_if(|builder| !builder.has_room(frame)) {
            self.done.push(full.finish());
        }
        let room = self.to_come.min(BATCH_BYTES).max(frame);
        self.builder.get_or_insert_with(|| Builder::new(room, appended_ms)).push(record);
        self.to_come -= frame;
    }

    fn finish(mut self, partition: i32) -> impl Iterator<Item = Batch> {
        self.done.extend(self.builder.map(Builder::finish));
        let mut base_offset = self.first_offset;
        self.done.into_iter().map(move |(blob, count)| {
            let batch = Batch { partition, base_offset, count, blob };
            base_offset = batch.end();
            batch
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn job(records: Vec<(usize, NewRecord)>) -> Job {
        Job { records, bytes: 0, answer: oneshot::channel().0 }
    }

    fn record(number: usize, size: usize) -> NewRecord {
        let payload =
            Bytes::from(number.to_le_bytes().iter().copied().cycle().take(size).collect::<Vec<u8>>());
        NewRecord { key: Bytes::from(number.to_string()), payload, headers: Vec::new() }
    }

    /// Small ones, and some of which a few fill a batch.
    fn size() -> impl Strategy<Value = usize> {
        prop_oneof![10 => 0_usize..2000, 1 => 300_000_usize..700_000]
    }

    proptest! {
        /// Whatever the sizes, each partition gets its records in order, without gaps, in bounded batches.
        #[test]
        fn order_and_bounds_hold(
            jobs in prop::collection::vec(prop::collection::vec((0_usize..3, size()), 1..12), 1..6),
        ) {
            let mut expected: [Vec<String>; 3] = Default::default();
            let mut number = 0;
            let jobs: Vec<Job> = jobs
                .into_iter()
                .map(|records| {
                    job(records
                        .into_iter()
                        .map(|(partition, size)| {
                            number += 1;
                            expected[partition].push(number.to_string());
                            (partition, record(number, size))
                        })
                        .collect())
                })
                .collect();
            let waiters = jobs.len();
            let extents = [0, 10, 500].map(|end| Extent { log_start: 0, end });
            let packed = pack(jobs, &extents, 7);
            prop_assert_eq!(packed.waiters.len(), waiters);
            let mut read: [Vec<Record>; 3] = Default::default();
            for batch in &packed.batches {
                prop_assert!(batch.blob.len() <= BATCH_BYTES + blob::HEADER_BYTES);
                let records = &mut read[usize::try_from(batch.partition).unwrap()];
                blob::decode(&batch.blob, batch.base_offset, 0, records).unwrap();
            }
            for partition in 0..3 {
                let keys: Vec<_> =
                    read[partition].iter().map(|r| String::from_utf8(r.key.to_vec()).unwrap()).collect();
                prop_assert_eq!(&keys, &expected[partition]);
                let offsets: Vec<_> = read[partition].iter().map(|record| record.offset).collect();
                let from = extents[partition].end;
                let to = from + i64::try_from(offsets.len()).unwrap();
                prop_assert_eq!(offsets, (from..to).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_record_larger_than_a_batch_has_one_for_itself() {
        let records = vec![(0, record(1, 10)), (0, record(2, BATCH_BYTES + 1)), (0, record(3, 10))];
        let packed = pack(vec![job(records)], &[Extent { log_start: 0, end: 0 }], 7);
        let counts: Vec<_> = packed.batches.iter().map(|batch| (batch.base_offset, batch.count)).collect();
        assert!(counts.contains(&(1, 1)), "{counts:?}");
    }
}
