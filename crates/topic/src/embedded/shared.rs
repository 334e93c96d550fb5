//! What readers, viewers and the writer thread share: how far the partitions reach, the recent batches, the groups.

use super::cursors::Due;
use super::database::{Batch, Contents, Extent};
use super::group::Group;
use super::lock;
use super::recent::Recent;
use crate::{PartitionOffsets, TopicId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Bytes of recent batches kept in memory.
const RECENT_BYTES: usize = 16 << 20;

/// What readers and the writer thread share.
pub(super) struct Shared {
    pub(super) topic: TopicId,
    pub(super) path: PathBuf,
    pub(super) published: watch::Sender<Published>,
    recent: Mutex<Recent>,
    groups: Mutex<HashMap<String, Arc<Group>>>,
}

/// What readers wait for.
pub(super) struct Published {
    /// By partition.
    pub(super) extents: Vec<Extent>,
    /// Nothing more will come.
    pub(super) closed: bool,
}

impl Shared {
    pub(super) fn new(path: PathBuf, Contents { topic, extents, .. }: Contents) -> Shared {
        Shared {
            topic,
            path,
            recent: Mutex::new(Recent::new(extents.len(), RECENT_BYTES)),
            published: watch::Sender::new(Published { extents, closed: false }),
            groups: Mutex::default(),
        }
    }

    pub(super) fn extents(&self) -> Vec<Extent> {
        self.published.borrow().extents.clone()
    }

    pub(super) fn offsets(&self) -> Vec<PartitionOffsets> {
        let numbered = (0..).zip(self.extents());
        let offsets = |(partition, Extent { log_start, end })| PartitionOffsets {
            topic: self.topic,
            partition,
            log_start,
            end,
        };
        numbered.map(offsets).collect()
    }

    pub(super) fn group(&self, name: &str) -> Arc<Group> {
        let partitions = self.published.borrow().extents.len();
        lock(&self.groups).entry(name.to_owned()).or_insert_with(|| Group::new(partitions)).clone()
    }

    /// Batches that are on the disk: kept in memory for a while, then readers are woken.
    pub(super) fn publish(&self, batches: Vec<Batch>) {
        let ends: Vec<_> = batches.iter().map(|batch| (batch.partition, batch.end())).collect();
        let mut recent = lock(&self.recent);
        for batch in batches {
            recent.push(batch);
        }
        drop(recent);
        self.published.send_modify(|published| {
            for (partition, end) in ends {
                if let Some(extent) = published.extent(partition) {
                    extent.end = end;
                }
            }
        });
    }

    pub(super) fn trimmed(&self, partition: i32, log_start: i64) {
        self.published.send_if_modified(|published| {
            let extent = published.extent(partition).filter(|extent| extent.log_start != log_start);
            extent.map(|extent| extent.log_start = log_start).is_some()
        });
    }

    pub(super) fn recent(&self, due: Due, most_bytes: usize) -> Vec<Batch> {
        lock(&self.recent).from(due.partition, due.offset, most_bytes)
    }

    pub(super) fn remembers(&self, due: Due) -> bool {
        !self.recent(due, 1).is_empty()
    }
}

impl Published {
    fn extent(&mut self, partition: i32) -> Option<&mut Extent> {
        usize::try_from(partition).ok().and_then(|index| self.extents.get_mut(index))
    }
}
