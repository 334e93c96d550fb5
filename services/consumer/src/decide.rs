//! What to do with a segment, by what the store said to it. Pure.

use record::Timestamp;
use std::time::Duration;
use store::{FlushError, Flushed, Refusal};

/// What becomes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is stored; so many of its events were stored before.
    Done(Flushed),
    /// Store its halves apart: one of its records is broken.
    Split,
    /// Its only record is broken: set it aside.
    SetAside(Refusal),
    /// The store is out: wait, then try the same again. Nothing is set aside, order is kept.
    Hold(String),
    /// Another consumer owns the partition: forget what is in hand.
    LetGo,
}

/// What is known about the segment that was tried.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Records in it.
    pub records: usize,
    /// Position after it.
    pub next: i64,
    /// Whether its only record was to be set aside already.
    pub set_aside: bool,
    /// Whether an earlier try ended in an outage, and may have been committed without our hearing of it.
    pub after_outage: bool,
}

/// Decides what becomes of a segment.
pub fn decide(tried: Tried, answer: Result<Flushed, FlushError>) -> Decision {
    match answer {
        Ok(flushed) => Decision::Done(flushed),
        Err(FlushError::Moved { found, .. }) if tried.after_outage && found == tried.next => {
            Decision::Done(Flushed::default())
        }
        Err(FlushError::Moved { .. }) => Decision::LetGo,
        Err(FlushError::Refused(_)) if tried.records > 1 => Decision::Split,
        Err(FlushError::Refused(refusal)) if !tried.set_aside => Decision::SetAside(refusal),
        // A store that refuses even the letter is at fault itself; waiting loses nothing.
        Err(FlushError::Refused(refusal)) => Decision::Hold(refusal.reason),
        Err(FlushError::Outage(reason)) => Decision::Hold(reason),
    }
}

/// When a record that was tried `attempts` times is tried again; `None` when it is to be given up.
pub fn retry_at(delays: &[Duration], attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let delay = delays.get(attempts.checked_sub(1)? as usize)?;
    let nanos = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
    Some(Timestamp::from_nanos(now.as_nanos().saturating_add(nanos)).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::PartitionKey;

    const TRIED: Tried = Tried { records: 3, next: 10, set_aside: false, after_outage: false };

    fn moved(found: i64) -> Result<Flushed, FlushError> {
        let of = PartitionKey { topic: record::Uuid::nil(), partition: 0, epoch: 0 };
        Err(FlushError::Moved { of, expected: 7, found })
    }

    #[test]
    fn a_broken_record_is_cut_out_and_set_aside() {
        let refused = || Err(FlushError::Refused("too large".to_owned().into()));
        assert_eq!(decide(TRIED, refused()), Decision::Split);
        let one = Tried { records: 1, ..TRIED };
        assert_eq!(decide(one, refused()), Decision::SetAside("too large".to_owned().into()));
        assert_eq!(decide(Tried { set_aside: true, ..one }, refused()), Decision::Hold("too large".into()));
    }

    #[test]
    fn an_outage_holds_whatever_is_in_the_segment() {
        for records in [1, 3] {
            let answer = Err(FlushError::Outage("gone".into()));
            assert_eq!(decide(Tried { records, ..TRIED }, answer), Decision::Hold("gone".into()));
        }
    }

    #[test]
    fn a_moved_position_is_anothers_unless_it_is_our_own_unheard_commit() {
        assert_eq!(decide(TRIED, moved(10)), Decision::LetGo);
        let after_outage = Tried { after_outage: true, ..TRIED };
        assert_eq!(decide(after_outage, moved(10)), Decision::Done(Flushed::default()));
        assert_eq!(decide(after_outage, moved(11)), Decision::LetGo);
    }

    #[test]
    fn retries_follow_the_delays_and_end() {
        let delays = [1, 2, 4].map(Duration::from_secs);
        let now = Timestamp::from_nanos(0).unwrap();
        let seconds = |attempts| retry_at(&delays, attempts, now).map(|at| at.as_nanos() / 1_000_000_000);
        assert_eq!([1, 2, 3, 4].map(seconds), [Some(1), Some(2), Some(4), None]);
        assert_eq!(seconds(0), None);
    }
}
