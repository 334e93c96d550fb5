//! Dead letters: records set aside, tried again when due, and in the end stored or given up.

use super::{
    encode::place,
    failure::Failure,
    flush::copy,
    positions::{self, uuid},
};
use crate::{Flush, Letter, LetterId, Outcome, PartitionKey};
use record::{LogRecord, Timestamp};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::time::Duration;

/// Stores the letters of a flush.
pub(super) async fn set_aside(connection: &mut PgConnection, flush: &Flush) -> Result<(), Failure> {
    let letters = &flush.letters;
    if letters.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO dead_letters
             (topic_id, partition, \"offset\", key, payload, traceparent, reason, attempts, first_at, retry_at)
         SELECT $1::text::uuid, $2, letter_offset, key, payload, traceparent, reason, 1, $3, retry_at
         FROM unnest($4::bigint[], $5::bytea[], $6::bytea[], $7::text[], $8::text[], $9::bigint[])
             WITH ORDINALITY AS letter (letter_offset, key, payload, traceparent, reason, retry_at, number)
         ORDER BY number",
    )
    .bind(flush.of.topic.to_string())
    .bind(flush.of.partition)
    .bind(Timestamp::now().as_nanos())
    .bind(letters.iter().map(|letter| letter.offset).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| &letter.key[..]).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| &letter.payload[..]).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.traceparent.as_deref().map(storable)).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| storable(&letter.reason)).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.retry_at.as_nanos()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Text that says something about broken bytes may hold U+0000, and must not break in its turn.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Letters that are due, oldest first.
pub(super) async fn due(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Letter>, Failure> {
    let letters = sqlx::query(
        "SELECT id, topic_id, partition, \"offset\", payload, attempts FROM dead_letters
         WHERE retry_at <= $1 ORDER BY retry_at, id LIMIT $2",
    )
    .bind(now.as_nanos())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    letters.iter().map(letter).collect()
}

fn letter(row: &PgRow) -> Result<Letter, Failure> {
    Ok(Letter {
        id: LetterId(row.try_get(0)?),
        of: PartitionKey { topic: uuid(row, 1)?, partition: row.try_get(2)? },
        offset: row.try_get(3)?,
        payload: row.try_get::<Vec<u8>, _>(4)?.into(),
        attempts: attempts(row, 5)?,
    })
}

/// A count of attempts, which is never negative.
pub(super) fn attempts(row: &PgRow, column: usize) -> Result<u32, Failure> {
    Ok(u32::try_from(row.try_get::<i32, _>(column)?).unwrap_or(0))
}

/// How long until the next letter is due; `None` when none waits.
pub(super) async fn next_due(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Duration>, Failure> {
    let next: Option<i64> =
        sqlx::query_scalar("SELECT min(retry_at) FROM dead_letters WHERE retry_at IS NOT NULL")
            .fetch_one(connection)
            .await?;
    let wait = |at: i64| Duration::from_nanos(u64::try_from(at - now.as_nanos()).unwrap_or(0));
    Ok(next.map(wait))
}

/// Records what a retry came to, unless another consumer did so before. Answers whether it changed anything.
pub(super) async fn settle(
    connection: &mut PgConnection,
    letter: &Letter,
    outcome: &Outcome,
) -> Result<bool, Failure> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let settled = match outcome {
        Outcome::Stored(record) => store(connection, letter, record).await?,
        Outcome::Retry { at, reason } => try_later(connection, letter, reason, Some(*at)).await?,
        Outcome::Dead { reason } => {
            try_later(connection, letter, reason, None).await?
                && positions::settle(connection, letter.of, false).await.map(|()| true)?
        }
    };
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(settled)
}

async fn store(connection: &mut PgConnection, letter: &Letter, record: &LogRecord) -> Result<bool, Failure> {
    crate::texts::check(record).map_err(Failure::Refused)?;
    let deleted =
        sqlx::query("DELETE FROM dead_letters WHERE id = $1 AND attempts = $2 AND retry_at IS NOT NULL")
            .bind(letter.id.0)
            .bind(i64::from(letter.attempts))
            .execute(&mut *connection)
            .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let place = place(letter.of.partition, letter.offset, true);
    copy(connection, &[(place, record)]).await?;
    positions::settle(connection, letter.of, true).await?;
    Ok(true)
}

async fn try_later(
    connection: &mut PgConnection,
    letter: &Letter,
    reason: &str,
    at: Option<Timestamp>,
) -> Result<bool, Failure> {
    let changed = sqlx::query(
        "UPDATE dead_letters SET attempts = attempts + 1, reason = $3, retry_at = $4
         WHERE id = $1 AND attempts = $2 AND retry_at IS NOT NULL",
    )
    .bind(letter.id.0)
    .bind(i64::from(letter.attempts))
    .bind(storable(reason))
    .bind(at.map(Timestamp::as_nanos))
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}
