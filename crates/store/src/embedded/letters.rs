//! Dead letters: records set aside, tried again when due, and in the end stored or given up.

use super::{failure::Failure, minutes::Tally, positions, rows, writer::Session};
use crate::{Flush, Letter, LetterId, Outcome, PartitionKey, Refusal, late, ledger::Ended};
use record::{LogRecord, Timestamp, Uuid};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::{borrow::Cow, time::Duration};

/// Stores the letters of a flush.
pub(super) fn set_aside(session: &mut Session<'_>, flush: &Flush) -> Result<(), Failure> {
    if flush.letters.is_empty() {
        return Ok(());
    }
    let used = usage(session.connection)?;
    if used >= session.config.max_letter_bytes {
        return Err(Failure::Outage(format!(
            "{used} bytes of broken records are set aside and still tried again; the partition waits for them"
        )));
    }
    let mut insert = session.connection.prepare_cached(
        "INSERT INTO dead_letters (topic, partition, epoch, offset, key, payload, timestamp_ms, traceparent, first_at,
             reason, sqlstate, attempts, retry_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
    )?;
    let PartitionKey { topic, partition, epoch } = flush.of;
    let now = Timestamp::now().as_nanos();
    for letter in &flush.letters {
        insert.execute(params![
            topic.as_bytes(),
            partition,
            epoch,
            letter.offset,
            &letter.key[..],
            &letter.payload[..],
            letter.timestamp_ms,
            letter.traceparent,
            now,
            letter.refusal.reason,
            letter.refusal.sqlstate,
            letter.retry_at.as_nanos(),
        ])?;
    }
    Ok(())
}

/// Letters that are due, oldest first.
pub(super) fn due(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Letter>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT id, topic, partition, epoch, offset, payload, attempts FROM dead_letters
         WHERE retry_at <= ? ORDER BY retry_at, id LIMIT ?",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let letters = statement.query_map([now.as_nanos(), limit], letter)?;
    Ok(letters.collect::<Result<_>>()?)
}

fn letter(row: &Row<'_>) -> Result<Letter> {
    Ok(Letter {
        id: LetterId(row.get(0)?),
        of: PartitionKey { topic: Uuid::from_bytes(row.get(1)?), partition: row.get(2)?, epoch: row.get(3)? },
        offset: row.get(4)?,
        payload: row.get::<_, Vec<u8>>(5)?.into(),
        attempts: row.get(6)?,
    })
}

/// How long until the next letter is due; `None` when none waits.
pub(super) fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Duration>, Failure> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(retry_at) FROM dead_letters WHERE retry_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    let wait = |at: i64| Duration::from_nanos(u64::try_from(at - now.as_nanos()).unwrap_or(0));
    Ok(next.map(wait))
}

/// Records what a retry came to, unless another consumer did so before. Answers whether it changed anything.
pub(super) fn settle(session: &mut Session<'_>, letter: &Letter, outcome: &Outcome) -> Result<bool, Failure> {
    let connection = session.connection;
    let LetterId(id) = letter.id;
    let waits = connection
        .prepare_cached("SELECT 1 FROM dead_letters WHERE id = ? AND attempts = ? AND retry_at IS NOT NULL")?
        .query_row(params![id, letter.attempts], |_| Ok(()))
        .optional()?;
    if waits.is_none() {
        return Ok(false);
    }
    match outcome {
        Outcome::Stored(record) => {
            let ended = store(session, record)?;
            connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?")?.execute([id])?;
            positions::settle(connection, letter.of, ended)?;
        }
        Outcome::Retry { at, refusal } => try_later(connection, id, refusal, Some(*at))?,
        Outcome::Dead { refusal } => {
            try_later(connection, id, refusal, None)?;
            positions::settle(connection, letter.of, Ended::GivenUp)?;
        }
    }
    Ok(true)
}

fn store(session: &mut Session<'_>, record: &LogRecord) -> Result<Ended, Failure> {
    let organization = session.organizations.number(session.connection, &record.organization_id)?;
    if !rows::Insert::prepare(session.connection)?.row(organization, record)? {
        return Ok(Ended::Repetition);
    }
    let mut tally = Tally::default();
    tally.count(organization, record.timestamp.as_nanos(), Cow::Borrowed(&record.service), record.level);
    tally.add(session.connection)?;
    session.late.extend(late::news(std::slice::from_ref(record), Timestamp::now()));
    Ok(Ended::Row)
}

fn try_later(connection: &Connection, id: i64, refusal: &Refusal, at: Option<Timestamp>) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE dead_letters SET attempts = attempts + 1, reason = ?, sqlstate = ?, retry_at = ? WHERE id = ?",
        )?
        .execute(params![refusal.reason, refusal.sqlstate, at.map(Timestamp::as_nanos), id])
        .map(|_| ())
}

/// Bytes of all letters.
pub(super) fn usage(connection: &Connection) -> Result<u64> {
    let bytes: i64 =
        connection.prepare_cached("SELECT bytes FROM dead_letter_usage")?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
