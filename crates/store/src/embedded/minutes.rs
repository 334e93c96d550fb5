//! Counts by organisation, minute, service and level, kept in step with the rows.
//!
//! They are changed in the transaction that stores or deletes the rows, so they always add up to them. Statistics
//! are read from here, and searches learn from here which minutes are worth looking at.

use crate::Filter;
use record::Level;
use rusqlite::{Connection, Result, named_params, params};
use std::{borrow::Cow, collections::HashMap, ops::ControlFlow};

/// Nanoseconds.
pub(super) const MINUTE: i64 = 60_000_000_000;

/// A count for each [`Level`], by its number.
pub(super) type ByLevel = [i64; Level::ALL.len()];

/// Changes to the counts that are gathered before they are written: a flush has few minutes and many rows.
#[derive(Default)]
pub(super) struct Tally<'a> {
    counts: HashMap<(i64, i64, Cow<'a, str>), ByLevel>,
}

impl<'a> Tally<'a> {
    /// Counts one row.
    pub(super) fn count(&mut self, organization: i64, timestamp: i64, service: Cow<'a, str>, level: Level) {
        let counts = self.counts.entry((organization, timestamp / MINUTE, service)).or_default();
        counts[usize::from(level.number())] += 1;
    }

    /// Writes the counted rows down as stored.
    pub(super) fn add(self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO minutes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET trace = trace + excluded.trace, debug = debug + excluded.debug,
                 info = info + excluded.info, warn = warn + excluded.warn,
                 error = error + excluded.error, fatal = fatal + excluded.fatal",
        )?;
        for ((organization, minute, service), n) in self.counts {
            statement.execute(params![organization, minute, service, n[0], n[1], n[2], n[3], n[4], n[5]])?;
        }
        Ok(())
    }

    /// Writes the counted rows down as deleted.
    pub(super) fn subtract(self, connection: &Connection) -> Result<()> {
        let mut less = connection.prepare_cached(
            "UPDATE minutes SET trace = trace - ?4, debug = debug - ?5, info = info - ?6, warn = warn - ?7,
                 error = error - ?8, fatal = fatal - ?9
             WHERE organization = ?1 AND minute = ?2 AND service = ?3",
        )?;
        let mut gone = connection.prepare_cached(
            "DELETE FROM minutes WHERE organization = ?1 AND minute = ?2 AND service = ?3
                 AND max(trace, debug, info, warn, error, fatal) = 0",
        )?;
        for ((organization, minute, service), n) in self.counts {
            less.execute(params![organization, minute, service, n[0], n[1], n[2], n[3], n[4], n[5]])?;
            gone.execute(params![organization, minute, service])?;
        }
        Ok(())
    }
}

/// Direction of a walk through time.
#[derive(Clone, Copy)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// A minute in which the filter means at least one event, if its time bounds and words are left aside.
pub(super) struct Minute {
    /// First nanosecond.
    pub(super) start: i64,
    /// Events of the filter's levels and service.
    pub(super) counts: ByLevel,
}

/// Visits the minutes that overlap `from..to` (nanoseconds) and have events of the filter's levels and service.
/// One visit reads the counts of one minute, however many minutes there are.
pub(super) fn walk<F>(
    connection: &Connection,
    organization: i64,
    filter: &Filter,
    (from, to): (i64, i64),
    order: Order,
    mut visit: F,
) -> Result<()>
where
    F: FnMut(Minute) -> Result<ControlFlow<()>>,
{
    if from >= to {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(match order {
        Order::OldestFirst => concat!(walk_sql!(), " ASC"),
        Order::NewestFirst => concat!(walk_sql!(), " DESC"),
    })?;
    let mut rows = statement.query(named_params! {
        ":organization": organization, ":first": from / MINUTE, ":last": (to - 1) / MINUTE,
        ":service": filter.service,
    })?;
    let mask = level_mask(filter);
    while let Some(row) = rows.next()? {
        let mut counts = ByLevel::default();
        for (level, count) in counts.iter_mut().enumerate().filter(|(level, _)| mask >> level & 1 == 1) {
            *count = row.get(level + 1)?;
        }
        if counts.iter().any(|count| *count > 0) {
            let start = row.get::<_, i64>(0)? * MINUTE;
            if visit(Minute { start, counts })?.is_break() {
                break;
            }
        }
    }
    Ok(())
}

/// Bit n is set when the filter means the level of number n.
pub(super) fn level_mask(filter: &Filter) -> i64 {
    let levels = if filter.levels.is_empty() { &Level::ALL[..] } else { &filter.levels };
    levels.iter().fold(0, |mask, level| mask | 1 << level.number())
}

macro_rules! walk_sql {
    () => {
        "SELECT minute, sum(trace), sum(debug), sum(info), sum(warn), sum(error), sum(fatal) FROM minutes
         WHERE organization = :organization AND minute BETWEEN :first AND :last
             AND (:service IS NULL OR service = :service)
         GROUP BY minute ORDER BY minute"
    };
}
use walk_sql;
