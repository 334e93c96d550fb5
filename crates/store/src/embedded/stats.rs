//! Counts by time and level, and the span of an organisation's events.

use super::{
    minutes::{self, ByLevel, MINUTE, Minute, Order},
    organizations::look_up,
    scan::{Range, Read, scan},
};
use crate::{Bucket, Filter, StatsAnswer, StatsQuestion, Words};
use record::{Level, Timestamp};
use rusqlite::{Connection, Result, Row};
use std::{collections::BTreeMap, ops::ControlFlow, time::Instant};

/// Rows counted between two looks at the clock.
const ROWS_A_LOOK: u32 = 1024;

/// Counts by interval. Whole minutes are read from their counts; words, narrow intervals and cut minutes need the rows.
pub(super) fn stats(connection: &Connection, question: &StatsQuestion) -> Result<StatsAnswer> {
    let filter = &question.filter;
    let Some(organization) = look_up(connection, &filter.organization)? else {
        return Ok(StatsAnswer { buckets: Vec::new(), partial: false });
    };
    let range = Range::new(organization, filter, None);
    let mut counting = Counting::new(question);
    minutes::walk(connection, organization, filter, range.bounds(), Order::NewestFirst, |minute| {
        if counting.is_late() {
            return Ok(ControlFlow::Break(()));
        }
        if counting.takes_whole(&minute, range.bounds()) {
            counting.add(minute.start, &minute.counts);
            return Ok(ControlFlow::Continue(()));
        }
        let range = range.within(minute.start, minute.start.saturating_add(MINUTE));
        scan(connection, counting.read(), filter, range, |row| counting.look(row))
    })?;
    Ok(counting.answer())
}

struct Counting {
    words: Words,
    interval: i64,
    deadline: Instant,
    looked_at: u32,
    partial: bool,
    buckets: BTreeMap<i64, ByLevel>,
}

impl Counting {
    fn new(question: &StatsQuestion) -> Counting {
        Counting {
            words: Words::new(&question.filter.words),
            interval: i64::try_from(question.interval.as_nanos()).unwrap_or(i64::MAX).max(1),
            deadline: Instant::now() + question.budget,
            looked_at: 0,
            partial: false,
            buckets: BTreeMap::new(),
        }
    }

    fn read(&self) -> Read {
        if self.words.is_empty() { Read::TimeAndLevel } else { Read::Texts }
    }

    fn is_late(&mut self) -> bool {
        self.partial = Instant::now() >= self.deadline;
        self.partial
    }

    /// Whether the counts of a minute can be taken as they are: all of it is asked for, and it lies in one bucket.
    fn takes_whole(&self, minute: &Minute, (from, to): (i64, i64)) -> bool {
        self.words.is_empty()
            && self.interval % MINUTE == 0
            && from <= minute.start
            && minute.start.checked_add(MINUTE).is_some_and(|end| end <= to)
    }

    fn add(&mut self, time: i64, counts: &ByLevel) {
        let bucket = self.buckets.entry(time - time % self.interval).or_default();
        bucket.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    fn look(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>> {
        self.looked_at += 1;
        let meant = self.words.is_empty()
            || self.words.all_in(row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_str_or_null()?);
        if meant {
            let mut one = ByLevel::default();
            one[usize::from(row.get::<_, u8>(1)?)] = 1;
            self.add(row.get(0)?, &one);
        }
        if self.looked_at.is_multiple_of(ROWS_A_LOOK) && self.is_late() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn answer(self) -> StatsAnswer {
        let bucket = |(start, counts): (i64, ByLevel)| Bucket {
            start: Timestamp::from_nanos(start).unwrap_or(Timestamp::MIN),
            by_level: Level::ALL
                .into_iter()
                .zip(counts)
                .filter_map(|(level, count)| Some((level, u64::try_from(count).ok().filter(|n| *n > 0)?)))
                .collect(),
        };
        StatsAnswer { buckets: self.buckets.into_iter().map(bucket).collect(), partial: self.partial }
    }
}

/// Times of the oldest and the newest event that the filter means, words left aside.
pub(super) fn span(connection: &Connection, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>> {
    let Some(organization) = look_up(connection, &filter.organization)? else { return Ok(None) };
    let range = Range::new(organization, filter, None);
    let oldest = extreme(connection, filter, range, Order::OldestFirst)?;
    let newest = extreme(connection, filter, range, Order::NewestFirst)?;
    let times = oldest.zip(newest);
    Ok(times.and_then(|(oldest, newest)| Timestamp::from_nanos(oldest).zip(Timestamp::from_nanos(newest))))
}

/// The first or the last time in the range: in the first minute that has one. Only a minute that the range cuts can
/// turn out to have none.
fn extreme(connection: &Connection, filter: &Filter, range: Range, order: Order) -> Result<Option<i64>> {
    let mut found = None;
    minutes::walk(connection, range.organization, filter, range.bounds(), order, |minute| {
        let range = range.within(minute.start, minute.start.saturating_add(MINUTE));
        let _ = scan(connection, Read::TimeAndLevel, filter, range, |row| {
            found = Some(row.get(0)?);
            // Rows come newest first: the newest is the first of them, the oldest the last.
            Ok(match order {
                Order::NewestFirst => ControlFlow::Break(()),
                Order::OldestFirst => ControlFlow::Continue(()),
            })
        })?;
        Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(found)
}
