//! Positions of partitions and their ledger: one row each, whose columns always add up.

use super::failure::Failure;
use crate::{Flush, LedgerRow, PartitionKey, Position};
use record::Uuid;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

/// Positions in the order asked; a partition that is not known yet begins where the asker says.
pub(super) async fn begin(
    connection: &mut PgConnection,
    assigned: &[Position],
) -> Result<Vec<Position>, Failure> {
    let topics: Vec<String> = assigned.iter().map(|position| position.of.topic.to_string()).collect();
    let partitions: Vec<i32> = assigned.iter().map(|position| position.of.partition).collect();
    let offsets: Vec<i64> = assigned.iter().map(|position| position.next).collect();
    sqlx::query(
        "INSERT INTO consumer_offsets (topic_id, partition, start_offset, next_offset)
         SELECT topic::uuid, partition, next, next FROM unnest($1::text[], $2::int[], $3::bigint[])
             AS asked (topic, partition, next)
         ON CONFLICT DO NOTHING",
    )
    .bind(&topics)
    .bind(&partitions)
    .bind(&offsets)
    .execute(&mut *connection)
    .await?;
    // A statement of its own: one that runs beside another consumer's insertion does not see it.
    let known = sqlx::query(
        "SELECT next_offset FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS asked (topic, partition, number)
         JOIN consumer_offsets AS known
             ON known.topic_id = asked.topic::uuid AND known.partition = asked.partition
         ORDER BY number",
    )
    .bind(&topics)
    .bind(&partitions)
    .fetch_all(connection)
    .await?;
    let next = |(asked, row): (&Position, &PgRow)| Ok(Position { next: row.try_get(0)?, ..*asked });
    assigned.iter().zip(&known).map(next).collect()
}

/// Begins a transaction, moves the position from `expected` to `next` and counts what became of the offsets between:
/// all in one message. Of the rows, `duplicates` are repetitions.
pub(super) async fn begin_and_advance(
    connection: &mut PgConnection,
    flush: &Flush,
    duplicates: usize,
) -> Result<(), Failure> {
    let Flush { of, expected, next, rows, letters, skipped, lost } = flush;
    let (rows, letters) = (rows.len(), letters.len());
    // Nothing but numbers goes into the text.
    let sql = format!(
        "BEGIN; UPDATE consumer_offsets SET next_offset = {next}, stored = stored + {rows},
             duplicates = duplicates + {duplicates}, dead_lettered = dead_lettered + {letters},
             retrying = retrying + {letters}, skipped = skipped + {skipped}, lost = lost + {lost}
         WHERE topic_id = '{}' AND partition = {} AND next_offset = {expected}",
        of.topic, of.partition
    );
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let found = next_offset(connection, *of).await?;
    // A position that is not there at all was deleted behind our back: whoever asks for it again begins anew.
    Err(Failure::Moved { of: *of, expected: *expected, found: found.unwrap_or(-1) })
}

async fn next_offset(connection: &mut PgConnection, of: PartitionKey) -> Result<Option<i64>, Failure> {
    let known = sqlx::query_scalar(
        "SELECT next_offset FROM consumer_offsets WHERE topic_id = $1::text::uuid AND partition = $2",
    )
    .bind(of.topic.to_string())
    .bind(of.partition)
    .fetch_optional(connection)
    .await?;
    Ok(known)
}

/// Counts a letter as tried no more; when it is stored, it moves from the dead letters to the rows.
pub(super) async fn settle(
    connection: &mut PgConnection,
    of: PartitionKey,
    stored: bool,
) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE consumer_offsets SET retrying = retrying - 1, stored = stored + $3,
             dead_lettered = dead_lettered - $3
         WHERE topic_id = $1::text::uuid AND partition = $2",
    )
    .bind(of.topic.to_string())
    .bind(of.partition)
    .bind(i64::from(stored))
    .execute(connection)
    .await?;
    Ok(())
}

/// What became of every offset of every partition.
pub(super) async fn ledger(connection: &mut PgConnection) -> Result<Vec<LedgerRow>, Failure> {
    let rows = sqlx::query(
        "SELECT topic_id, partition, start_offset, next_offset, stored, dead_lettered, retrying, skipped, lost
         FROM consumer_offsets ORDER BY topic_id, partition",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(ledger_row).collect()
}

fn ledger_row(row: &PgRow) -> Result<LedgerRow, Failure> {
    Ok(LedgerRow {
        topic: uuid(row, 0)?,
        partition: row.try_get(1)?,
        start: row.try_get(2)?,
        next: row.try_get(3)?,
        stored: row.try_get(4)?,
        dead_lettered: row.try_get(5)?,
        retrying: row.try_get(6)?,
        skipped: row.try_get(7)?,
        lost: row.try_get(8)?,
    })
}

/// A column of type uuid: on the wire its 16 bytes.
pub(super) fn uuid(row: &PgRow, column: usize) -> Result<Uuid, Failure> {
    Ok(Uuid::from_bytes(row.try_get_unchecked(column)?))
}
