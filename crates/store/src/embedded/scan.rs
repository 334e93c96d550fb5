//! Walks through rows of one organisation, newest first, by the index on their time.

use super::{minutes::level_mask, rows::columns};
use crate::{Cursor, Filter};
use record::Timestamp;
use rusqlite::{Connection, Result, Row, Rows, named_params};
use std::ops::ControlFlow;

/// What is read of each row. Columns outside the index cost a look into the table.
#[derive(Clone, Copy)]
pub(super) enum Read {
    /// `row`, then the columns of an event.
    Event,
    /// `timestamp`, `level`: from the index alone.
    TimeAndLevel,
    /// `timestamp`, `level`, `message`, `attributes`.
    Texts,
}

/// Rows from a time up to, without, a place in the order of (time, row).
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) organization: i64,
    pub(super) from: i64,
    pub(super) before: (i64, i64),
}

impl Range {
    /// The rows of one organisation that the filter's time bounds allow, behind the cursor.
    pub(super) fn new(organization: i64, filter: &Filter, after: Option<Cursor>) -> Range {
        let from = filter.from.unwrap_or(Timestamp::MIN).as_nanos();
        let to = (filter.to.map_or(i64::MAX, Timestamp::as_nanos), i64::MIN);
        let before = after.map_or(to, |cursor| to.min((cursor.timestamp.as_nanos(), cursor.row)));
        Range { organization, from, before }
    }

    /// First and, without, last nanosecond that a row can have.
    pub(super) fn bounds(self) -> (i64, i64) {
        let (time, row) = self.before;
        (self.from, if row == i64::MIN { time } else { time.saturating_add(1) })
    }

    /// The part of it that lies in `from..to`.
    pub(super) fn within(self, from: i64, to: i64) -> Range {
        Range { from: self.from.max(from), before: self.before.min((to, i64::MIN)), ..self }
    }
}

macro_rules! scan_sql {
    ($columns:expr, $bounds:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM logs INDEXED BY logs_by_time WHERE organization = :organization AND ",
            $bounds,
            " AND (1 << level) & :levels AND (:service IS NULL OR service = :service)
              ORDER BY timestamp DESC, row DESC"
        )
    };
}

/// Rows of the time at which the last page ended, and rows before that time. In one statement, comparing
/// `(timestamp, row)`, SQLite would look at all rows of that time again for each page.
macro_rules! scan_sqls {
    ($columns:expr) => {
        [
            scan_sql!($columns, "timestamp = :time AND row < :row"),
            scan_sql!($columns, "timestamp >= :from AND timestamp < :time"),
        ]
    };
}

fn sqls(read: Read) -> [&'static str; 2] {
    match read {
        Read::Event => scan_sqls!(concat!("row, ", columns!())),
        Read::TimeAndLevel => scan_sqls!("timestamp, level"),
        Read::Texts => scan_sqls!("timestamp, level, message, attributes"),
    }
}

/// Visits the rows of the range that have the filter's levels and service, until a visit breaks.
pub(super) fn scan<F>(
    connection: &Connection,
    read: Read,
    filter: &Filter,
    Range { organization, from, before: (time, row) }: Range,
    mut visit: F,
) -> Result<ControlFlow<()>>
where
    F: FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
{
    let [tied, earlier] = sqls(read);
    let levels = level_mask(filter);
    if row > i64::MIN && from <= time {
        let mut statement = connection.prepare_cached(tied)?;
        let rows = statement.query(named_params! {
            ":organization": organization, ":time": time, ":row": row,
            ":levels": levels, ":service": filter.service,
        })?;
        if visit_all(rows, &mut visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    let mut statement = connection.prepare_cached(earlier)?;
    let rows = statement.query(named_params! {
        ":organization": organization, ":from": from, ":time": time,
        ":levels": levels, ":service": filter.service,
    })?;
    visit_all(rows, &mut visit)
}

fn visit_all(
    mut rows: Rows<'_>,
    visit: &mut impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    while let Some(row) = rows.next()? {
        if visit(row)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema;

    /// Otherwise a page deep inside many events of the same time would read all of them before it.
    #[test]
    fn a_scan_begins_at_its_place_in_the_index_and_never_sorts() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0).unwrap();
        for read in [Read::Event, Read::TimeAndLevel, Read::Texts] {
            for (sql, place) in
                sqls(read).into_iter().zip(["timestamp=? AND row<?", "timestamp>? AND timestamp<?"])
            {
                let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                (1..=plan.parameter_count()).for_each(|n| plan.raw_bind_parameter(n, 0).unwrap());
                let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3));
                let steps: Vec<_> = steps.collect::<Result<_>>().unwrap();
                assert_eq!(steps.len(), 1, "{steps:?}");
                assert!(steps[0].contains(place), "{steps:?}");
                let covering = steps[0].contains("COVERING INDEX logs_by_time");
                assert_eq!(covering, matches!(read, Read::TimeAndLevel), "{steps:?}");
            }
        }
    }

    #[test]
    fn a_range_narrows_and_never_widens() {
        let organization: record::OrganizationId = "acme".parse().unwrap();
        let time = |nanos| Timestamp::from_nanos(nanos);
        let filter = Filter {
            organization,
            from: time(10),
            to: time(20),
            levels: vec![],
            service: None,
            words: vec![],
        };
        let range = Range::new(1, &filter, None);
        assert_eq!(range.bounds(), (10, 20));
        assert_eq!(range.within(0, 15).bounds(), (10, 15));
        assert_eq!(range.within(12, 99).bounds(), (12, 20));
        let cursor = |nanos| Some(Cursor { timestamp: time(nanos).unwrap(), row: 7 });
        assert_eq!(
            Range::new(1, &filter, cursor(15)).bounds(),
            (10, 16),
            "others of the same time may follow"
        );
        assert_eq!(Range::new(1, &filter, cursor(15)).within(0, 16).before, (15, 7));
        assert_eq!(Range::new(1, &filter, cursor(25)).bounds(), (10, 20));
    }
}
