//! Events by filter, newest first, and single events by id.

use super::{
    minutes::{self, MINUTE, Order},
    organizations::look_up,
    rows,
    scan::{Range, Read, scan},
};
use crate::{Cursor, Page, SearchQuestion, Words};
use record::{LogRecord, OrganizationId, Timestamp, Uuid};
use rusqlite::{Connection, OptionalExtension, Result, Row, params, types::Type};
use std::{ops::ControlFlow, time::Instant};

/// Rows looked at between two looks at the clock.
const ROWS_A_LOOK: u32 = 256;

/// A page of events. Looks only into minutes that have events of the filter's levels and service.
pub(super) fn search(connection: &Connection, question: &SearchQuestion) -> Result<Page> {
    let filter = &question.filter;
    let Some(organization) = look_up(connection, &filter.organization)? else {
        return Ok(Page { logs: Vec::new(), next: None });
    };
    let range = Range::new(organization, filter, question.after);
    let mut looking = Looking {
        question,
        words: Words::new(&filter.words),
        deadline: Instant::now() + question.budget,
        looked_at: 0,
        page: Page { logs: Vec::new(), next: None },
    };
    minutes::walk(connection, organization, filter, range.bounds(), Order::NewestFirst, |minute| {
        let range = range.within(minute.start, minute.start.saturating_add(MINUTE));
        scan(connection, Read::Event, filter, range, |row| looking.look(row))
    })?;
    Ok(looking.page)
}

struct Looking<'a> {
    question: &'a SearchQuestion,
    words: Words,
    deadline: Instant,
    looked_at: u32,
    page: Page,
}

impl Looking<'_> {
    /// Looks at one row; breaks when the page is full or the time is over, and leaves a cursor behind.
    fn look(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>> {
        self.looked_at += 1;
        if self.means(row)? {
            self.page.logs.push(rows::record(row, 1, &self.question.filter.organization)?);
        }
        let full = self.page.logs.len() >= self.question.limit;
        let late = self.looked_at.is_multiple_of(ROWS_A_LOOK) && Instant::now() >= self.deadline;
        if !(full || late) {
            return Ok(ControlFlow::Continue(()));
        }
        self.page.next = Some(Cursor { timestamp: time(row)?, row: row.get(0)? });
        Ok(ControlFlow::Break(()))
    }

    fn means(&self, row: &Row<'_>) -> Result<bool> {
        if self.words.is_empty() {
            return Ok(true);
        }
        let message = row.get_ref(4)?.as_str()?;
        let attributes = row.get_ref(8)?.as_str_or_null()?;
        Ok(self.words.all_in(message, attributes))
    }
}

fn time(row: &Row<'_>) -> Result<Timestamp> {
    let damaged = || rusqlite::Error::FromSqlConversionFailure(1, Type::Integer, "out of range".into());
    Timestamp::from_nanos(row.get(1)?).ok_or_else(damaged)
}

/// One event; the one stored last, if a file of version 1 has its id twice.
pub(super) fn get(
    connection: &Connection,
    organization: &OrganizationId,
    id: Uuid,
) -> Result<Option<LogRecord>> {
    let Some(number) = look_up(connection, organization)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        rows::columns!(),
        " FROM logs WHERE id = ? AND organization = ? ORDER BY row DESC LIMIT 1"
    ))?;
    statement.query_row(params![id.as_bytes(), number], |row| rows::record(row, 0, organization)).optional()
}
