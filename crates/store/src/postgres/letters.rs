//! Dead letters: records set aside, tried again when due, and in the end stored or given up.

use super::{
    encode::place,
    failure::Failure,
    flush::copy,
    late, letter_bytes,
    positions::{self, uuid},
    recent::Recent,
};
use crate::{Flush, Letter, LetterId, Outcome, PartitionKey, Refusal, ledger::Ended};
use record::{LogRecord, Timestamp};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::time::Duration;

/// Stores the letters of a flush, if all may not have more than so many bytes.
pub(super) async fn set_aside(
    connection: &mut PgConnection,
    max_bytes: u64,
    flush: &Flush,
) -> Result<(), Failure> {
    let letters = &flush.letters;
    if letters.is_empty() {
        return Ok(());
    }
    letter_bytes::demand_room(connection, max_bytes).await?;
    sqlx::query(
        "INSERT INTO dead_letters (topic_id, partition, epoch, \"offset\", key, payload, timestamp_ms, traceparent,
             reason, sqlstate, attempts, first_at, retry_at)
         SELECT $1::text::uuid, $2, $3, letter_offset, key, payload, timestamp_ms, traceparent,
             reason, sqlstate, 1, $4, retry_at
         FROM unnest($5::bigint[], $6::bytea[], $7::bytea[], $8::bigint[], $9::text[], $10::text[], $11::text[],
                 $12::bigint[])
             WITH ORDINALITY AS letter
             (letter_offset, key, payload, timestamp_ms, traceparent, reason, sqlstate, retry_at, number)
         ORDER BY number",
    )
    .bind(flush.of.topic.to_string())
    .bind(flush.of.partition)
    .bind(flush.of.epoch)
    .bind(Timestamp::now().as_nanos())
    .bind(letters.iter().map(|letter| letter.offset).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| &letter.key[..]).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| &letter.payload[..]).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.timestamp_ms).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.traceparent.as_deref().map(storable)).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| storable(&letter.refusal.reason)).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.refusal.sqlstate.as_deref().map(storable)).collect::<Vec<_>>())
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
        "SELECT id, topic_id, partition, epoch, \"offset\", payload, attempts FROM dead_letters
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
        of: partition(row, 1)?,
        offset: row.try_get(4)?,
        payload: row.try_get::<Vec<u8>, _>(5)?.into(),
        attempts: attempts(row, 6)?,
    })
}

/// The partition that a letter came from, in three columns.
pub(super) fn partition(row: &PgRow, first: usize) -> Result<PartitionKey, Failure> {
    Ok(PartitionKey {
        topic: uuid(row, first)?,
        partition: row.try_get(first + 1)?,
        epoch: row.try_get(first + 2)?,
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
    recent: &Recent,
    letter: &Letter,
    outcome: &Outcome,
) -> Result<bool, Failure> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let settled = match outcome {
        Outcome::Stored(record) => store(connection, recent, letter, record).await?,
        Outcome::Retry { at, refusal } => try_later(connection, letter, refusal, Some(*at)).await?,
        Outcome::Dead { refusal } => {
            try_later(connection, letter, refusal, None).await?
                && positions::settle(connection, letter.of, Ended::GivenUp).await.map(|()| true)?
        }
    };
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(settled)
}

async fn store(
    connection: &mut PgConnection,
    recent: &Recent,
    letter: &Letter,
    record: &LogRecord,
) -> Result<bool, Failure> {
    crate::texts::check(record).map_err(Failure::refused)?;
    let deleted =
        sqlx::query("DELETE FROM dead_letters WHERE id = $1 AND attempts = $2 AND retry_at IS NOT NULL")
            .bind(letter.id.0)
            .bind(i64::from(letter.attempts))
            .execute(&mut *connection)
            .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let ended = if recent.meet(connection, letter.of, record).await? {
        Ended::Repetition
    } else {
        let place = place(letter.of, letter.offset, true);
        copy(connection, &[(place, record)]).await?;
        late::tell(connection, std::slice::from_ref(record)).await?;
        Ended::Row
    };
    positions::settle(connection, letter.of, ended).await?;
    Ok(true)
}

async fn try_later(
    connection: &mut PgConnection,
    letter: &Letter,
    refusal: &Refusal,
    at: Option<Timestamp>,
) -> Result<bool, Failure> {
    let changed = sqlx::query(
        "UPDATE dead_letters SET attempts = attempts + 1, reason = $3, sqlstate = $4, retry_at = $5
         WHERE id = $1 AND attempts = $2 AND retry_at IS NOT NULL",
    )
    .bind(letter.id.0)
    .bind(i64::from(letter.attempts))
    .bind(storable(&refusal.reason))
    .bind(refusal.sqlstate.as_deref().map(storable))
    .bind(at.map(Timestamp::as_nanos))
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}
