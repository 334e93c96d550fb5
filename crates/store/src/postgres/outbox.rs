//! Dead letters on their way to the topic that is for them.

use super::{
    config::Config,
    failure::Failure,
    letter_bytes,
    letters::{attempts, partition},
};
use crate::{DeadLetter, LetterId, Publication, Refusal};
use record::Timestamp;
use sqlx::{PgConnection, Row, postgres::PgRow};

/// "lp:relay" in ASCII: whoever makes a publication holds this lock, so that there is one at a time; and whoever changes
/// letters of several partitions, so that no two of them wait for each other.
const LOCK: i64 = 0x6c70_3a72_656c_6179;

/// Begins a transaction under the lock.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}

/// The open publication, or a new one.
pub(super) async fn publication(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Option<Publication>, Failure> {
    begin(connection).await?;
    let publication = match open(connection).await? {
        Some(publication) => Some(publication),
        None => {
            number_oldest(connection, limit).await?;
            open(connection).await?
        }
    };
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(publication)
}

async fn open(connection: &mut PgConnection) -> Result<Option<Publication>, Failure> {
    let rows = sqlx::query(
        "SELECT id, topic_id, partition, epoch, \"offset\", key, payload, timestamp_ms, traceparent, reason, sqlstate,
             attempts, publication
         FROM dead_letters
         WHERE published_at IS NULL AND publication IS NOT NULL
         ORDER BY publication, id",
    )
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let letters = rows.iter().map(letter).collect::<Result<_, _>>()?;
    Ok(Some(Publication { number: first.try_get(12)?, letters }))
}

async fn number_oldest(connection: &mut PgConnection, limit: usize) -> Result<(), Failure> {
    sqlx::query(
        "WITH next AS MATERIALIZED (SELECT nextval('dead_letter_publications') AS number)
         UPDATE dead_letters SET publication = next.number FROM next WHERE id IN
             (SELECT id FROM dead_letters WHERE retry_at IS NULL AND publication IS NULL ORDER BY id LIMIT $1)",
    )
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

fn letter(row: &PgRow) -> Result<DeadLetter, Failure> {
    Ok(DeadLetter {
        id: LetterId(row.try_get(0)?),
        of: partition(row, 1)?,
        offset: row.try_get(4)?,
        key: row.try_get::<Vec<u8>, _>(5)?.into(),
        payload: row.try_get::<Vec<u8>, _>(6)?.into(),
        timestamp_ms: row.try_get(7)?,
        traceparent: row.try_get(8)?,
        refusal: Refusal { reason: row.try_get(9)?, sqlstate: row.try_get(10)? },
        attempts: attempts(row, 11)?,
    })
}

/// Marks a publication as published, and deletes what is too much by it. Answers whether it was open.
pub(super) async fn published(
    connection: &mut PgConnection,
    config: &Config,
    number: i64,
) -> Result<bool, Failure> {
    begin(connection).await?;
    let marked = sqlx::query(
        "UPDATE dead_letters SET published_at = $2 WHERE publication = $1 AND published_at IS NULL",
    )
    .bind(number)
    .bind(Timestamp::now().as_nanos())
    .execute(&mut *connection)
    .await?;
    letter_bytes::trim(connection, config.max_letter_bytes).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(marked.rows_affected() > 0)
}
