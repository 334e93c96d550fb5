//! A group of readers in this process: the coordinator, shared, and a membership a reader.

use super::coordinator::{Change, Coordinator, MemberId};
use super::lock;
use crate::Revocation;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// A group: who owns what, and what its members say is stored.
pub(super) struct Group {
    coordinator: Mutex<Coordinator>,
    changed: watch::Sender<()>,
    committed: Mutex<Vec<Option<i64>>>,
}

impl Group {
    /// A group without members.
    pub(super) fn new(partitions: usize) -> Arc<Group> {
        Arc::new(Group {
            coordinator: Mutex::new(Coordinator::new(partitions)),
            changed: watch::Sender::new(()),
            committed: Mutex::new(vec![None; partitions]),
        })
    }

    /// Joins; the membership leaves when it is dropped.
    pub(super) fn join(self: &Arc<Group>) -> Membership {
        let changed = self.changed.subscribe();
        let member = self.change(Coordinator::join);
        Membership { group: self.clone(), member, changed }
    }

    /// The offsets that members have committed, by partition.
    pub(super) fn committed(&self) -> Vec<(i32, i64)> {
        let committed = lock(&self.committed);
        (0..).zip(&*committed).filter_map(|(partition, next)| Some((partition, (*next)?))).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Coordinator) -> T) -> T {
        let done = change(&mut lock(&self.coordinator));
        self.changed.send_replace(());
        done
    }
}

/// A reader's place in its group.
pub(super) struct Membership {
    group: Arc<Group>,
    member: MemberId,
    changed: watch::Receiver<()>,
}

/// News for a reader.
pub(super) enum News {
    Assigned(Vec<i32>),
    Revoked(Revocation),
}

impl Membership {
    /// What this member has not heard yet.
    pub(super) fn take(&mut self) -> Option<News> {
        self.changed.mark_unchanged();
        match lock(&self.group.coordinator).take(self.member)? {
            Change::Assigned(partitions) => Some(News::Assigned(partitions)),
            Change::Revoked(partitions) => Some(News::Revoked(self.revocation(partitions))),
        }
    }

    /// Waits until there may be news since the last [`Membership::take`].
    pub(super) async fn changed(&mut self) {
        // The sender lives in the group that this membership holds.
        self.changed.changed().await.ok();
    }

    /// Remembers how far the group is.
    pub(super) fn commit(&self, partition: i32, next_offset: i64) {
        let mut committed = lock(&self.group.committed);
        if let Some(committed) = usize::try_from(partition).ok().and_then(|index| committed.get_mut(index)) {
            *committed = Some(next_offset);
        }
    }

    fn revocation(&self, partitions: Vec<i32>) -> Revocation {
        let (group, member, leaving) = (self.group.clone(), self.member, partitions.clone());
        let released = move || group.change(|coordinator| coordinator.release(member, &leaving));
        Revocation { partitions, released: Some(Box::new(released)) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.group.change(|coordinator| coordinator.leave(self.member));
    }
}
