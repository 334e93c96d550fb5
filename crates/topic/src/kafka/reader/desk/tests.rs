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
    assert!(
        matches!(desk.take(), Some(Ok(Event::Records(batch))) if batch.log_start == 3 && batch.records.is_empty())
    );
    let truncation = Truncation { partition: 1, offset: 0, log_start: 0, end: 2 };
    desk.truncated(truncation);
    assert!(matches!(desk.take(), Some(Ok(Event::Truncated(told))) if told == truncation));
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

#[test]
fn a_gap_is_believed_when_it_is_still_there() {
    let desk = started(&[0]);
    let gapped = |from: i64| {
        let mut batch = batch(0, from..3);
        batch.records.extend(self::batch(0, 7..9).records);
        batch
    };
    desk.offer(desk.wanted()[0], gapped(1));
    assert_eq!(taken(&desk), None, "record 0 is missing");
    assert_eq!(desk.take_starts()[0].next, 0);
    desk.offer(desk.wanted()[0], gapped(0));
    assert_eq!(taken(&desk), Some((0, 0)), "it was not missing");
    assert_eq!(desk.take_starts()[0].next, 3);
    desk.offer(desk.wanted()[0], batch(0, 7..9));
    assert_eq!(taken(&desk), Some((0, 7)), "nothing is there");
    assert_eq!(desk.wanted()[0].next, 9);
    desk.offer(desk.wanted()[0], batch(0, 9..10));
    assert_eq!(taken(&desk), Some((0, 9)));
}
