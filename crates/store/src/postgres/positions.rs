//! Positions of partitions and their ledger: one row each, whose columns always add up.

use super::{failure::Failure, recent};
use crate::{Flush, LedgerRow, PartitionKey, Position, ledger::Ended};
use record::Uuid;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

/// Positions in the order asked, in the newest epoch; a partition that is not known yet begins where the asker says.
pub(super) async fn begin(
    connection: &mut PgConnection,
    assigned: &[Position],
) -> Result<Vec<Position>, Failure> {
    let topics: Vec<String> = assigned.iter().map(|position| position.of.topic.to_string()).collect();
    let partitions: Vec<i32> = assigned.iter().map(|position| position.of.partition).collect();
    let offsets: Vec<i64> = assigned.iter().map(|position| position.next).collect();
    sqlx::query(
        "INSERT INTO consumer_offsets (topic_id, partition, epoch, start_offset, next_offset)
         SELECT topic::uuid, partition, 0, next, next FROM unnest($1::text[], $2::int[], $3::bigint[])
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
        "SELECT epoch, next_offset
         FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS asked (topic, partition, number)
         JOIN consumer_offsets AS known
             ON known.topic_id = asked.topic::uuid AND known.partition = asked.partition AND NOT known.ended
         ORDER BY number",
    )
    .bind(&topics)
    .bind(&partitions)
    .fetch_all(connection)
    .await?;
    if known.len() != assigned.len() {
        return Err(Failure::Misconfigured(
            "consumer_offsets has partitions without a newest epoch: put back the rows that were deleted"
                .into(),
        ));
    }
    let newest = |(asked, row): (&Position, &PgRow)| {
        let of = PartitionKey { epoch: row.try_get(0)?, ..asked.of };
        Ok(Position { of, next: row.try_get(1)? })
    };
    assigned.iter().zip(&known).map(newest).collect()
}

/// Begins a transaction, moves the position from `expected` to `next` and counts what became of the offsets between:
/// all in one message. Answers how often retries added to the partition's ids.
///
/// A flush that waits here for whoever ends the epoch looks at the row again afterwards, and finds it `ended`.
pub(super) async fn begin_and_advance(connection: &mut PgConnection, flush: &Flush) -> Result<i64, Failure> {
    let Flush { of, expected, next, rows, letters, skipped, lost } = flush;
    let (rows, letters) = (rows.len(), letters.len());
    // Nothing but numbers goes into the text.
    let sql = format!(
        "BEGIN; UPDATE consumer_offsets SET next_offset = {next}, stored = stored + {rows},
             dead_lettered = dead_lettered + {letters}, retrying = retrying + {letters},
             skipped = skipped + {skipped}, lost = lost + {lost}
         WHERE {} AND next_offset = {expected} AND NOT ended RETURNING ids_by_retry",
        is(*of)
    );
    let moved = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    match moved.first() {
        Some(row) => Ok(row.try_get(0)?),
        None => Err(moved_from(connection, *of, *expected).await?),
    }
}

/// SQL that counts repetitions among the rows of a flush.
pub(super) fn duplicates_sql(of: PartitionKey, duplicates: usize) -> String {
    if duplicates == 0 {
        return String::new();
    }
    format!("UPDATE consumer_offsets SET duplicates = duplicates + {duplicates} WHERE {}; ", is(of))
}

/// Ends the epoch of `stored` if that is still its position, and begins the next one.
pub(super) async fn begin_epoch(
    connection: &mut PgConnection,
    stored: Position,
    log_start: i64,
    end: i64,
) -> Result<Position, Failure> {
    let Position { of, next } = stored;
    let sql = format!(
        "BEGIN; UPDATE consumer_offsets SET ended = true WHERE {} AND next_offset = {next} AND NOT ended
         RETURNING start_offset, stored",
        is(of)
    );
    let ended = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let Some(ended) = ended.first() else { return Err(moved_from(connection, of, next).await?) };
    let known = recent::known_from(connection, of, ended.try_get(0)?, ended.try_get(1)?).await?;
    let begins = known.unwrap_or(end).min(end).max(log_start);
    let of = PartitionKey { epoch: of.epoch + 1, ..of };
    let sql = format!(
        "INSERT INTO consumer_offsets (topic_id, partition, epoch, start_offset, next_offset)
             VALUES ('{}', {}, {}, {begins}, {begins}); COMMIT",
        of.topic, of.partition, of.epoch
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(Position { of, next: begins })
}

/// The condition that a row is this partition's, in its epoch. Nothing but numbers goes into it.
fn is(PartitionKey { topic, partition, epoch }: PartitionKey) -> String {
    format!("topic_id = '{topic}' AND partition = {partition} AND epoch = {epoch}")
}

async fn moved_from(
    connection: &mut PgConnection,
    of: PartitionKey,
    expected: i64,
) -> Result<Failure, Failure> {
    let sql = format!("SELECT next_offset FROM consumer_offsets WHERE {} AND NOT ended", is(of));
    let found: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(connection).await?;
    // Its epoch has ended, or it was deleted behind our back: whoever asks for the position again hears it.
    Ok(Failure::Moved { of, expected, found: found.unwrap_or(-1) })
}

/// Counts a letter as tried no more, in the epoch it came from, which may have ended; when it is stored, it moves from
/// the dead letters to the rows.
pub(super) async fn settle(
    connection: &mut PgConnection,
    of: PartitionKey,
    ended: Ended,
) -> Result<(), Failure> {
    let (stored, duplicates) = ended.counts();
    sqlx::query(
        "UPDATE consumer_offsets SET retrying = retrying - 1, stored = stored + $4,
             duplicates = duplicates + $5, dead_lettered = dead_lettered - $4
         WHERE topic_id = $1::text::uuid AND partition = $2 AND epoch = $3",
    )
    .bind(of.topic.to_string())
    .bind(of.partition)
    .bind(of.epoch)
    .bind(stored)
    .bind(duplicates)
    .execute(connection)
    .await?;
    Ok(())
}

/// What became of every offset of every partition.
pub(super) async fn ledger(connection: &mut PgConnection) -> Result<Vec<LedgerRow>, Failure> {
    let rows = sqlx::query(
        "SELECT topic_id, partition, epoch, start_offset, next_offset, stored, duplicates, dead_lettered, retrying,
             skipped, lost
         FROM consumer_offsets ORDER BY topic_id, partition, epoch",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(ledger_row).collect()
}

fn ledger_row(row: &PgRow) -> Result<LedgerRow, Failure> {
    Ok(LedgerRow {
        topic: uuid(row, 0)?,
        partition: row.try_get(1)?,
        epoch: row.try_get(2)?,
        start: row.try_get(3)?,
        next: row.try_get(4)?,
        stored: row.try_get(5)?,
        duplicates: row.try_get(6)?,
        dead_lettered: row.try_get(7)?,
        retrying: row.try_get(8)?,
        skipped: row.try_get(9)?,
        lost: row.try_get(10)?,
    })
}

/// A column of type uuid: on the wire its 16 bytes.
pub(super) fn uuid(row: &PgRow, column: usize) -> Result<Uuid, Failure> {
    Ok(Uuid::from_bytes(row.try_get_unchecked(column)?))
}
