//! Positions of partitions and their ledger: one row each, whose columns always add up.

use super::failure::Failure;
use crate::{Flush, LedgerRow, PartitionKey, Position, ledger::Ended};
use record::Uuid;
use rusqlite::{Connection, OptionalExtension, Result, Row, named_params, params};

/// Positions in the order asked, in the newest epoch; a partition that is not known yet begins where the asker says.
pub(super) fn begin(connection: &Connection, assigned: &[Position]) -> Result<Vec<Position>, Failure> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO positions (topic, partition, epoch, start_offset, next_offset) VALUES (?1, ?2, 0, ?3, ?3)
         ON CONFLICT DO NOTHING",
    )?;
    for Position { of, next } in assigned {
        insert.execute(params![of.topic.as_bytes(), of.partition, next])?;
    }
    let mut newest = connection.prepare_cached(
        "SELECT epoch, next_offset FROM positions WHERE topic = ? AND partition = ? AND NOT ended",
    )?;
    let mut known = |asked: &Position| -> Result<Position, Failure> {
        Ok(newest.query_row(params![asked.of.topic.as_bytes(), asked.of.partition], |row| {
            Ok(Position { of: PartitionKey { epoch: row.get(0)?, ..asked.of }, next: row.get(1)? })
        })?)
    };
    assigned.iter().map(&mut known).collect()
}

/// Moves the position from `expected` to `next`, and counts what became of the offsets between.
pub(super) fn advance(connection: &Connection, flush: &Flush) -> Result<(), Failure> {
    let Flush { of, expected, next, rows, letters, skipped, lost } = flush;
    let moved = connection
        .prepare_cached(
            "UPDATE positions SET next_offset = :next, stored = stored + :rows,
                 dead_lettered = dead_lettered + :letters, retrying = retrying + :letters,
                 skipped = skipped + :skipped, lost = lost + :lost
             WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset = :expected
                 AND NOT ended",
        )?
        .execute(named_params! {
            ":topic": of.topic.as_bytes(), ":partition": of.partition, ":epoch": of.epoch, ":expected": expected,
            ":next": next, ":rows": count(rows.len()), ":letters": count(letters.len()), ":skipped": skipped, ":lost": lost,
        })?;
    if moved == 1 {
        return Ok(());
    }
    Err(moved_from(connection, *of, *expected)?)
}

/// Counts repetitions among the rows of a flush.
pub(super) fn count_duplicates(connection: &Connection, of: PartitionKey, duplicates: usize) -> Result<()> {
    if duplicates == 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE positions SET duplicates = duplicates + ? WHERE topic = ? AND partition = ? AND epoch = ?",
        )?
        .execute(params![count(duplicates), of.topic.as_bytes(), of.partition, of.epoch])
        .map(|_| ())
}

/// Ends the epoch of `stored` if that is still its position, and begins the next one. All ids are known here, so it begins
/// where the one before did.
pub(super) fn begin_epoch(
    connection: &Connection,
    stored: Position,
    log_start: i64,
    end: i64,
) -> Result<Position, Failure> {
    let Position { of, next } = stored;
    let began: Option<i64> = connection
        .prepare_cached(
            "UPDATE positions SET ended = 1
             WHERE topic = ? AND partition = ? AND epoch = ? AND next_offset = ? AND NOT ended
             RETURNING start_offset",
        )?
        .query_row(params![of.topic.as_bytes(), of.partition, of.epoch, next], |row| row.get(0))
        .optional()?;
    let Some(began) = began else { return Err(moved_from(connection, of, next)?) };
    let begins = began.min(end).max(log_start);
    let of = PartitionKey { epoch: of.epoch + 1, ..of };
    connection
        .prepare_cached(
            "INSERT INTO positions (topic, partition, epoch, start_offset, next_offset)
             VALUES (?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![of.topic.as_bytes(), of.partition, of.epoch, begins])?;
    Ok(Position { of, next: begins })
}

/// Counts a letter as tried no more, in the epoch it came from, which may have ended; when it is stored, it moves from
/// the dead letters to the rows.
pub(super) fn settle(connection: &Connection, of: PartitionKey, ended: Ended) -> Result<()> {
    let (stored, duplicates) = ended.counts();
    connection
        .prepare_cached(
            "UPDATE positions SET retrying = retrying - 1, stored = stored + ?4, duplicates = duplicates + ?5,
                 dead_lettered = dead_lettered - ?4
             WHERE topic = ?1 AND partition = ?2 AND epoch = ?3",
        )?
        .execute(params![of.topic.as_bytes(), of.partition, of.epoch, stored, duplicates])
        .map(|_| ())
}

/// What became of every offset of every partition.
pub(super) fn ledger(connection: &Connection) -> Result<Vec<LedgerRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, partition, epoch, start_offset, next_offset, stored, duplicates, dead_lettered, retrying,
             skipped, lost
         FROM positions ORDER BY topic, partition, epoch",
    )?;
    statement.query_map([], ledger_row)?.collect()
}

fn ledger_row(row: &Row<'_>) -> Result<LedgerRow> {
    Ok(LedgerRow {
        topic: Uuid::from_bytes(row.get(0)?),
        partition: row.get(1)?,
        epoch: row.get(2)?,
        start: row.get(3)?,
        next: row.get(4)?,
        stored: row.get(5)?,
        duplicates: row.get(6)?,
        dead_lettered: row.get(7)?,
        retrying: row.get(8)?,
        skipped: row.get(9)?,
        lost: row.get(10)?,
    })
}

fn moved_from(connection: &Connection, of: PartitionKey, expected: i64) -> Result<Failure> {
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT next_offset FROM positions WHERE topic = ? AND partition = ? AND epoch = ? AND NOT ended",
        )?
        .query_row(params![of.topic.as_bytes(), of.partition, of.epoch], |row| row.get(0))
        .optional()?;
    // Its epoch has ended, or it was deleted behind our back: whoever asks for the position again hears it.
    Ok(Failure::Moved { of, expected, found: found.unwrap_or(-1) })
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
