//! Positions of partitions and their ledger: one row each, whose columns always add up.

use super::failure::Failure;
use crate::{Flush, LedgerRow, PartitionKey, Position};
use record::Uuid;
use rusqlite::{Connection, OptionalExtension, Result, Row, named_params, params};

/// Positions in the order asked; a partition that is not known yet begins where the asker says.
pub(super) fn begin(connection: &Connection, assigned: &[Position]) -> Result<Vec<Position>, Failure> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO positions (topic, partition, start_offset, next_offset) VALUES (?1, ?2, ?3, ?3)
         ON CONFLICT DO NOTHING",
    )?;
    for Position { of, next } in assigned {
        insert.execute(params![of.topic.as_bytes(), of.partition, next])?;
    }
    let known = |asked: &Position| -> Result<Position, Failure> {
        let next = next_offset(connection, asked.of)?.unwrap_or(asked.next);
        Ok(Position { next, ..*asked })
    };
    assigned.iter().map(known).collect()
}

/// Moves the position from `expected` to `next`, and counts what became of the offsets between.
pub(super) fn advance(connection: &Connection, flush: &Flush) -> Result<(), Failure> {
    let Flush { of, expected, next, rows, letters, skipped, lost } = flush;
    let moved = connection
        .prepare_cached(
            "UPDATE positions SET next_offset = :next, stored = stored + :rows,
                 dead_lettered = dead_lettered + :letters, retrying = retrying + :letters,
                 skipped = skipped + :skipped, lost = lost + :lost
             WHERE topic = :topic AND partition = :partition AND next_offset = :expected",
        )?
        .execute(named_params! {
            ":topic": of.topic.as_bytes(), ":partition": of.partition, ":expected": expected, ":next": next,
            ":rows": count(rows.len()), ":letters": count(letters.len()), ":skipped": skipped, ":lost": lost,
        })?;
    if moved == 1 {
        return Ok(());
    }
    // A position that is not there at all was deleted behind our back: whoever asks for it again begins anew.
    let found = next_offset(connection, *of)?.unwrap_or(-1);
    Err(Failure::Moved { of: *of, expected: *expected, found })
}

/// Counts a letter as tried no more; when it is stored, it moves from the dead letters to the rows.
pub(super) fn settle(connection: &Connection, of: PartitionKey, stored: bool) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE positions SET retrying = retrying - 1, stored = stored + ?3, dead_lettered = dead_lettered - ?3
             WHERE topic = ?1 AND partition = ?2",
        )?
        .execute(params![of.topic.as_bytes(), of.partition, i64::from(stored)])
        .map(|_| ())
}

/// What became of every offset of every partition.
pub(super) fn ledger(connection: &Connection) -> Result<Vec<LedgerRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, partition, start_offset, next_offset, stored, dead_lettered, retrying, skipped, lost
         FROM positions ORDER BY topic, partition",
    )?;
    statement.query_map([], ledger_row)?.collect()
}

fn ledger_row(row: &Row<'_>) -> Result<LedgerRow> {
    Ok(LedgerRow {
        topic: Uuid::from_bytes(row.get(0)?),
        partition: row.get(1)?,
        start: row.get(2)?,
        next: row.get(3)?,
        stored: row.get(4)?,
        dead_lettered: row.get(5)?,
        retrying: row.get(6)?,
        skipped: row.get(7)?,
        lost: row.get(8)?,
    })
}

fn next_offset(connection: &Connection, of: PartitionKey) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT next_offset FROM positions WHERE topic = ? AND partition = ?")?
        .query_row(params![of.topic.as_bytes(), of.partition], |row| row.get(0))
        .optional()
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
