//! Keeps the bytes of dead letters bounded. Each partition's row in `consumer_offsets` counts its own, by triggers.

use super::failure::Failure;
use sqlx::PgConnection;

/// Letters deleted by one statement.
const STEP_LETTERS: i64 = 10_000;

/// Fails when the letters that are not published, and must stay, have so many bytes already.
pub(super) async fn demand_room(connection: &mut PgConnection, most: u64) -> Result<(), Failure> {
    let waiting: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(letter_bytes - published_bytes), 0)::bigint FROM consumer_offsets",
    )
    .fetch_one(connection)
    .await?;
    if u64::try_from(waiting).unwrap_or(0) < most {
        return Ok(());
    }
    Err(Failure::Outage(format!(
        "{waiting} bytes of broken records are set aside and not published yet: look whether dead letters are published; \
         the partition waits for them"
    )))
}

/// Deletes the oldest published letters as far as all have more bytes, but at most [`STEP_LETTERS`]. Answers how many.
pub(super) async fn trim(connection: &mut PgConnection, most: u64) -> Result<u64, Failure> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let excess: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(letter_bytes), 0)::bigint - $1 FROM consumer_offsets")
            .bind(most)
            .fetch_one(&mut *connection)
            .await?;
    if excess <= 0 {
        return Ok(0);
    }
    let deleted = sqlx::query(
        "DELETE FROM dead_letters WHERE id IN
             (SELECT id FROM
                 (SELECT id, sum(bytes) OVER (ORDER BY published_at, id) - bytes AS before FROM
                     (SELECT id, bytes, published_at FROM dead_letters WHERE published_at IS NOT NULL
                      ORDER BY published_at LIMIT $2) AS oldest) AS oldest
              WHERE before < $1)",
    )
    .bind(excess)
    .bind(STEP_LETTERS)
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
