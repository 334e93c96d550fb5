//! What breaks, and when: decided by a seed alone, so that a run can be repeated.

use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// Something that breaks and is whole again afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A consumer ends without a word; it comes back.
    KillConsumer(usize),
    /// A consumer stands still longer than its session, so that others take over, and then goes on as if nothing had
    /// happened.
    FreezeConsumer(usize, Duration),
    /// So many consumers from now on.
    Scale(usize),
    /// A producer ends without a word; it comes back.
    KillProducer(usize),
    /// Records that are no events come into the topic.
    Garbage(usize),
    /// The database ends at once and is started again.
    StopDatabase(Duration),
    /// The database keeps its connections and answers nothing.
    FreezeDatabase(Duration),
    /// Connections to the database break, and new ones too.
    CutDatabase(Duration),
    /// The network to the database swallows everything.
    SwallowDatabase(Duration),
    /// A transaction of somebody else locks the positions one after the other, longer than anybody waits for a lock.
    LockPositions(Duration),
    /// Transactions of somebody else take what the consumers take, in the opposite order, so that the database ends some
    /// of them (SQLSTATE 40P01).
    Deadlock(Duration),
    /// The consumers' transactions are serializable and others write what they write, so that the database ends some of
    /// them (SQLSTATE 40001).
    FailSerialization(Duration),
    /// Connections to all brokers break, and new ones too.
    CutKafka(Duration),
    /// The network to all brokers swallows everything.
    SwallowKafka(Duration),
    /// Connections from services to a broker break, and new ones too; brokers still reach each other.
    CutBroker(u8, Duration),
    /// The network between services and a broker swallows everything; brokers still reach each other.
    SwallowBroker(u8, Duration),
    /// A broker ends at once and is started again.
    KillBroker(u8, Duration),
    /// A broker stands still.
    FreezeBroker(u8, Duration),
}

/// Faults that hit our services, and faults that hit what they stand on: each follow one another, and the two overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Producers, consumers, and what comes into the topic.
    Services,
    /// Brokers, database, network.
    Parts,
}

/// Consumers at most.
pub const CONSUMERS: usize = 3;
/// Producers.
pub const PRODUCERS: usize = 2;

/// An endless plan: a wait, then a fault.
pub struct Plan {
    random: StdRng,
    lane: Lane,
    brokers: u8,
}

impl Plan {
    /// The plan of a seed. With one broker only, brokers stay whole but for short standstills.
    pub fn new(seed: u64, lane: Lane, brokers: u8) -> Plan {
        let salt = if lane == Lane::Services { 0 } else { 1 };
        Plan { random: StdRng::seed_from_u64(seed.wrapping_mul(2).wrapping_add(salt)), lane, brokers }
    }

    fn seconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.random_range(from * 1000..=to * 1000))
    }

    fn service_fault(&mut self) -> Fault {
        match self.random.random_range(0..10) {
            0..=2 => Fault::KillConsumer(self.random.random_range(0..CONSUMERS)),
            3..=4 => Fault::FreezeConsumer(self.random.random_range(0..CONSUMERS), self.seconds(12, 20)),
            5..=6 => Fault::Scale(self.random.random_range(1..=CONSUMERS)),
            7..=8 => Fault::KillProducer(self.random.random_range(0..PRODUCERS)),
            _ => Fault::Garbage(self.random.random_range(1..=50)),
        }
    }

    fn part_fault(&mut self) -> Fault {
        let broker = self.random.random_range(1..=self.brokers);
        match self.random.random_range(0..18) {
            0..=1 => Fault::StopDatabase(self.seconds(1, 20)),
            2 => Fault::FreezeDatabase(self.seconds(2, 15)),
            3..=4 => Fault::CutDatabase(self.seconds(1, 10)),
            5 => Fault::SwallowDatabase(self.seconds(8, 20)),
            6 => Fault::LockPositions(self.seconds(2, 8)),
            7 => Fault::Deadlock(self.seconds(2, 8)),
            8 => Fault::FailSerialization(self.seconds(2, 8)),
            9 => Fault::CutKafka(self.seconds(1, 10)),
            10..=11 => Fault::SwallowKafka(self.seconds(8, 25)),
            12 => Fault::CutBroker(broker, self.seconds(1, 15)),
            13..=14 => Fault::SwallowBroker(broker, self.seconds(8, 25)),
            15..=16 if self.brokers > 1 => Fault::KillBroker(broker, self.seconds(1, 15)),
            _ => Fault::FreezeBroker(broker, self.seconds(1, 12)),
        }
    }
}

impl Iterator for Plan {
    type Item = (Duration, Fault);

    fn next(&mut self) -> Option<(Duration, Fault)> {
        let wait = self.seconds(1, 8);
        let fault = match self.lane {
            Lane::Services => self.service_fault(),
            Lane::Parts => self.part_fault(),
        };
        Some((wait, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_plan_again_and_another_one_another() {
        let plan = |seed, lane| Plan::new(seed, lane, 3).take(20).collect::<Vec<_>>();
        for lane in [Lane::Services, Lane::Parts] {
            assert_eq!(plan(7, lane), plan(7, lane));
            assert_ne!(plan(7, lane), plan(8, lane));
        }
    }

    #[test]
    fn the_only_broker_is_not_killed() {
        let kills_the_only_broker =
            Plan::new(1, Lane::Parts, 1).take(500).any(|(_, fault)| matches!(fault, Fault::KillBroker(..)));
        assert!(!kills_the_only_broker);
    }
}
