//! Who of a group owns which partition: a pure state machine.
//!
//! Cooperative: a partition that moves is first recalled, and given to its next owner when the old one has let go. A
//! member hears of it by asking ([`Coordinator::take`]); a partition that it was not told of yet can be moved at once.

use std::collections::{BTreeMap, BTreeSet};

/// A member of a group, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(u64);

/// News for a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It owns these from now on.
    Assigned(Vec<i32>),
    /// It has to let these go and say so by [`Coordinator::release`].
    Revoked(Vec<i32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Free,
    /// Given to a member that does not know yet.
    Granted(MemberId),
    /// The member knows.
    Held(MemberId),
    /// To be let go by a member that does not know yet.
    Recalled(MemberId),
    /// The member knows and has work in hand.
    Leaving(MemberId),
}

impl Slot {
    /// Who has it and may keep it.
    fn owner(self) -> Option<MemberId> {
        match self {
            Slot::Granted(member) | Slot::Held(member) | Slot::Recalled(member) => Some(member),
            Slot::Free | Slot::Leaving(_) => None,
        }
    }
}

/// The partitions and members of one group.
#[derive(Debug)]
pub(super) struct Coordinator {
    slots: Vec<Slot>,
    members: BTreeSet<MemberId>,
    joined: u64,
}

impl Coordinator {
    /// A group without members.
    pub(super) fn new(partitions: usize) -> Coordinator {
        Coordinator { slots: vec![Slot::Free; partitions], members: BTreeSet::new(), joined: 0 }
    }

    /// Adds a member.
    pub(super) fn join(&mut self) -> MemberId {
        let member = MemberId(self.joined);
        self.joined += 1;
        self.members.insert(member);
        self.rebalance();
        member
    }

    /// Takes a member out. What it was told to let go stays with it until it says so.
    pub(super) fn leave(&mut self, member: MemberId) {
        self.members.remove(&member);
        for slot in self.slots.iter_mut().filter(|slot| slot.owner() == Some(member)) {
            *slot = Slot::Free;
        }
        self.rebalance();
    }

    /// What the member has not heard yet: first what it has to let go.
    pub(super) fn take(&mut self, member: MemberId) -> Option<Change> {
        let mut moved = |from: Slot, to: Slot| -> Vec<i32> {
            let slots = (0..).zip(&mut self.slots).filter(|(_, slot)| **slot == from);
            slots
                .map(|(partition, slot)| {
                    *slot = to;
                    partition
                })
                .collect()
        };
        let revoked = moved(Slot::Recalled(member), Slot::Leaving(member));
        if !revoked.is_empty() {
            return Some(Change::Revoked(revoked));
        }
        let assigned = moved(Slot::Granted(member), Slot::Held(member));
        (!assigned.is_empty()).then_some(Change::Assigned(assigned))
    }

    /// The member has let go of partitions that were revoked.
    pub(super) fn release(&mut self, member: MemberId, partitions: &[i32]) {
        for partition in partitions {
            let slot = usize::try_from(*partition).ok().and_then(|index| self.slots.get_mut(index));
            if let Some(slot) = slot.filter(|slot| **slot == Slot::Leaving(member)) {
                *slot = Slot::Free;
            }
        }
        self.rebalance();
    }

    /// Spreads the partitions as evenly as possible while moving as few as possible.
    fn rebalance(&mut self) {
        let mut shares = self.shares();
        for (member, share) in &mut shares {
            for partition in share.owned.drain(share.quota.min(share.owned.len())..) {
                self.slots[partition] = match self.slots[partition] {
                    Slot::Granted(_) => Slot::Free,
                    _ => Slot::Recalled(*member),
                };
            }
            for partition in &share.owned {
                if self.slots[*partition] == Slot::Recalled(*member) {
                    self.slots[*partition] = Slot::Held(*member);
                }
            }
        }
        let free: Vec<usize> = (0..self.slots.len()).filter(|p| self.slots[*p] == Slot::Free).collect();
        for partition in free {
            let neediest = shares.iter_mut().max_by_key(|(_, share)| share.quota - share.owned.len());
            let Some((member, share)) = neediest.filter(|(_, share)| share.quota > share.owned.len()) else {
                return;
            };
            share.owned.push(partition);
            self.slots[partition] = Slot::Granted(*member);
        }
    }

    /// What each member has, what it knows of first, and how many it is to have: those with most get one more when
    /// the partitions cannot be divided.
    fn shares(&self) -> Vec<(MemberId, Share)> {
        let mut owned: BTreeMap<MemberId, Vec<usize>> =
            self.members.iter().map(|member| (*member, Vec::new())).collect();
        for (partition, slot) in self.slots.iter().enumerate() {
            if let Some(owned) = slot.owner().and_then(|member| owned.get_mut(&member)) {
                owned.push(partition);
            }
        }
        let mut shares: Vec<_> = owned.into_iter().collect();
        shares.sort_by_key(|(_, owned)| std::cmp::Reverse(owned.len()));
        let (each, rest) = match shares.len() {
            0 => (0, 0),
            members => (self.slots.len() / members, self.slots.len() % members),
        };
        let numbered = shares.into_iter().enumerate();
        let share = |(place, (member, mut owned)): (usize, (MemberId, Vec<usize>))| {
            owned.sort_by_key(|partition| matches!(self.slots[*partition], Slot::Granted(_)));
            (member, Share { owned, quota: each + usize::from(place < rest) })
        };
        numbered.map(share).collect()
    }
}

struct Share {
    owned: Vec<usize>,
    quota: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What members believe, kept apart from the coordinator.
    #[derive(Default)]
    struct World {
        owners: BTreeMap<i32, MemberId>,
        leaving: Vec<(MemberId, Vec<i32>)>,
    }

    impl World {
        fn hear(&mut self, member: MemberId, change: Change) -> Result<(), TestCaseError> {
            match change {
                Change::Assigned(partitions) => {
                    for partition in partitions {
                        let before = self.owners.insert(partition, member);
                        prop_assert_eq!(before, None, "partition {} has two owners", partition);
                        let held = self.leaving.iter().any(|(_, kept)| kept.contains(&partition));
                        prop_assert!(!held, "partition {} was not let go", partition);
                    }
                }
                Change::Revoked(partitions) => {
                    for partition in &partitions {
                        prop_assert_eq!(self.owners.remove(partition), Some(member));
                    }
                    self.leaving.push((member, partitions));
                }
            }
            Ok(())
        }
    }

    fn settle(group: &mut Coordinator, world: &mut World) -> Result<(), TestCaseError> {
        loop {
            let mut quiet = world.leaving.is_empty();
            for (member, partitions) in std::mem::take(&mut world.leaving) {
                group.release(member, &partitions);
            }
            for member in group.members.clone() {
                while let Some(change) = group.take(member) {
                    world.hear(member, change)?;
                    quiet = false;
                }
            }
            if quiet {
                return Ok(());
            }
        }
    }

    proptest! {
        #[test]
        fn never_two_owners_and_even_in_the_end(
            partitions in 1_usize..12,
            steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 0..80),
        ) {
            let mut group = Coordinator::new(partitions);
            let mut world = World::default();
            for (step, which) in steps {
                let members: Vec<_> = group.members.iter().copied().collect();
                match step {
                    0 => {
                        group.join();
                    }
                    1 if !members.is_empty() => {
                        let member = *which.get(&members);
                        world.owners.retain(|_, owner| *owner != member);
                        group.leave(member);
                    }
                    2 if !members.is_empty() => {
                        let member = *which.get(&members);
                        if let Some(change) = group.take(member) {
                            world.hear(member, change)?;
                        }
                    }
                    3 if !world.leaving.is_empty() => {
                        let (member, partitions) = world.leaving.remove(which.index(world.leaving.len()));
                        group.release(member, &partitions);
                    }
                    _ => {}
                }
            }
            settle(&mut group, &mut world)?;
            let counts: Vec<usize> = group
                .members
                .iter()
                .map(|member| world.owners.values().filter(|owner| *owner == member).count())
                .collect();
            if let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) {
                prop_assert_eq!(world.owners.len(), partitions, "all are owned");
                prop_assert!(most - least <= 1, "uneven: {:?}", counts);
            }
        }
    }

    #[test]
    fn a_join_moves_only_what_it_must() {
        let mut group = Coordinator::new(6);
        let first = group.join();
        assert_eq!(group.take(first), Some(Change::Assigned(vec![0, 1, 2, 3, 4, 5])));
        let second = group.join();
        assert_eq!(group.take(second), None, "nothing was let go yet");
        assert_eq!(group.take(first), Some(Change::Revoked(vec![3, 4, 5])));
        group.release(first, &[3, 4]);
        assert_eq!(group.take(second), Some(Change::Assigned(vec![3, 4])));
        group.release(first, &[5]);
        assert_eq!(group.take(second), Some(Change::Assigned(vec![5])));
        assert_eq!(group.take(first), None);
    }

    #[test]
    fn a_recall_nobody_heard_of_is_taken_back() {
        let mut group = Coordinator::new(2);
        let first = group.join();
        assert_eq!(group.take(first), Some(Change::Assigned(vec![0, 1])));
        let second = group.join();
        group.leave(second);
        assert_eq!(group.take(first), None);
    }

    #[test]
    fn what_a_member_that_left_still_holds_waits_for_it() {
        let mut group = Coordinator::new(1);
        let first = group.join();
        group.take(first);
        let second = group.join();
        group.leave(first);
        assert_eq!(group.take(second), Some(Change::Assigned(vec![0])));

        let mut group = Coordinator::new(2);
        let first = group.join();
        group.take(first);
        let second = group.join();
        assert_eq!(group.take(first), Some(Change::Revoked(vec![1])));
        group.leave(first);
        assert_eq!(group.take(second), Some(Change::Assigned(vec![0])));
        group.release(first, &[1]);
        assert_eq!(group.take(second), Some(Change::Assigned(vec![1])));
    }
}
