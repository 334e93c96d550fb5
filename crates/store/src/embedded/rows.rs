//! Events as rows.

use super::failure::Failure;
use crate::texts;
use record::{Level, LogRecord, OrganizationId, Timestamp, Uuid};
use rusqlite::{CachedStatement, Connection, Result, Row, params, types::Type};
use serde_json::value::RawValue;

/// Columns of an event, in the order that [`record()`] reads them.
macro_rules! columns {
    () => {
        "timestamp, level, service, message, id, trace_id, span_id, attributes"
    };
}
pub(super) use columns;

/// The prepared insertion of a row, unless its organisation has one with this id.
pub(super) struct Insert<'a> {
    known: CachedStatement<'a>,
    insert: CachedStatement<'a>,
}

impl<'a> Insert<'a> {
    /// Two statements: one with `WHERE NOT EXISTS` makes a table of its own for each row, at twenty times the cost.
    pub(super) fn prepare(connection: &'a Connection) -> Result<Insert<'a>> {
        let known = connection.prepare_cached(
            "SELECT 1 FROM logs INDEXED BY logs_by_id WHERE id = ? AND organization = ? LIMIT 1",
        )?;
        let insert = connection.prepare_cached(concat!(
            "INSERT INTO logs (organization, ",
            columns!(),
            ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))?;
        Ok(Insert { known, insert })
    }

    /// Inserts one event. Answers whether it is new; one that repeats another changes nothing.
    pub(super) fn row(&mut self, organization: i64, record: &LogRecord) -> Result<bool, Failure> {
        texts::check(record).map_err(Failure::Refused)?;
        if self.known.exists(params![record.id.as_bytes(), organization])? {
            return Ok(false);
        }
        self.insert.execute(params![
            organization,
            record.timestamp.as_nanos(),
            record.level.number(),
            record.service,
            record.message,
            record.id.as_bytes(),
            record.trace_id,
            record.span_id,
            record.attributes.as_deref().map(RawValue::get),
        ])?;
        Ok(true)
    }
}

/// Reads an event whose columns begin at `first`.
pub(super) fn record(row: &Row<'_>, first: usize, organization: &OrganizationId) -> Result<LogRecord> {
    let damaged = |column: usize| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, "out of range".into())
    };
    let attributes: Option<String> = row.get(first + 7)?;
    let attributes = attributes.map(RawValue::from_string).transpose();
    Ok(LogRecord {
        timestamp: Timestamp::from_nanos(row.get(first)?).ok_or_else(|| damaged(first))?,
        level: Level::from_number(row.get(first + 1)?).ok_or_else(|| damaged(first + 1))?,
        service: row.get(first + 2)?,
        message: row.get(first + 3)?,
        id: Uuid::from_bytes(row.get(first + 4)?),
        trace_id: row.get(first + 5)?,
        span_id: row.get(first + 6)?,
        attributes: attributes.map_err(|_| damaged(first + 7))?,
        organization_id: organization.clone(),
    })
}
