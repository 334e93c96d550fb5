//! Dead letters on their way to the topic that is for them.

use super::{failure::Failure, letters::attempts, positions::uuid};
use crate::{DeadLetter, LetterId, PartitionKey, Publication};
use record::Timestamp;
use sqlx::{PgConnection, Row, postgres::PgRow};

/// "lp:relay" in ASCII: whoever makes a publication holds this lock, so that there is one at a time.
const LOCK: i64 = 0x6c70_3a72_656c_6179;

/// The open publication, or a new one.
pub(super) async fn publication(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Option<Publication>, Failure> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
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
        "SELECT id, topic_id, partition, \"offset\", key, payload, traceparent, reason, attempts, publication
         FROM dead_letters
         WHERE published_at IS NULL AND publication IS NOT NULL
         ORDER BY publication, id",
    )
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let letters = rows.iter().map(letter).collect::<Result<_, _>>()?;
    Ok(Some(Publication { number: first.try_get(9)?, letters }))
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
        of: PartitionKey { topic: uuid(row, 1)?, partition: row.try_get(2)? },
        offset: row.try_get(3)?,
        key: row.try_get::<Vec<u8>, _>(4)?.into(),
        payload: row.try_get::<Vec<u8>, _>(5)?.into(),
        traceparent: row.try_get(6)?,
        reason: row.try_get(7)?,
        attempts: attempts(row, 8)?,
    })
}

/// Marks a publication as published. Answers whether it was open.
pub(super) async fn published(connection: &mut PgConnection, number: i64) -> Result<bool, Failure> {
    let marked = sqlx::query(
        "UPDATE dead_letters SET published_at = $2 WHERE publication = $1 AND published_at IS NULL",
    )
    .bind(number)
    .bind(Timestamp::now().as_nanos())
    .execute(connection)
    .await?;
    Ok(marked.rows_affected() > 0)
}
