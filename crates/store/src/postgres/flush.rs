//! One flush: the position by compare-and-set, then rows and letters, in one transaction.
//!
//! ```text
//! → BEGIN; UPDATE consumer_offsets …      ← moved by one row, or another owns the partition
//! → SELECT … FROM recent_ids              ← only when they are not in memory
//! → COPY logs FROM STDIN                  ← go on
//! → rows …                                ← so many rows
//! → INSERT INTO dead_letters …            ← only when there are letters
//! → SELECT pg_notify(…)               ← only when events came late
//! → INSERT INTO recent_ids …; COMMIT      ← durable
//! ```

use super::{
    config::Config,
    encode::{COPY, Rows, place},
    failure::Failure,
    late, letters, positions,
    recent::Recent,
};
use crate::{Flush, Flushed, texts};
use record::{LogRecord, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};

/// Bytes of rows sent at one time: enough that messages cost nothing, few enough to stay in the processor's cache.
const CHUNK_BYTES: usize = 64 << 10;

/// Stores the flush. The position comes first, so that one who lost the partition does no work in vain.
pub(super) async fn flush(
    connection: &mut PgConnection,
    recent: &Recent,
    config: &Config,
    flush: &Flush,
) -> Result<Flushed, Failure> {
    flush.rows.iter().try_for_each(|row| texts::check(row).map_err(Failure::refused))?;
    let ids_by_retry = positions::begin_and_advance(connection, flush).await?;
    let sorted = recent.sort(connection, flush, ids_by_retry).await?;
    copy(connection, &placed(flush, &sorted.repeated)).await?;
    letters::set_aside(connection, config.max_letter_bytes, flush).await?;
    late::tell(connection, &flush.rows).await?;
    let duplicates = sorted.duplicates;
    let commit = positions::duplicates_sql(flush.of, duplicates) + &recent.sql(&sorted) + "COMMIT";
    sqlx::raw_sql(AssertSqlSafe(commit)).execute(connection).await?;
    recent.keep(sorted);
    Ok(Flushed { duplicates })
}

/// The rows that are no repetitions, each with its place.
fn placed<'a>(flush: &'a Flush, repeated: &[bool]) -> Vec<(i64, &'a LogRecord)> {
    (flush.expected..)
        .zip(&flush.rows)
        .zip(repeated)
        .filter(|(_, repeated)| !**repeated)
        .map(|((number, row), _)| (place(flush.of, number, false), row))
        .collect()
}

/// Stores rows, each with its place.
pub(super) async fn copy(connection: &mut PgConnection, rows: &[(i64, &LogRecord)]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut copy = connection.copy_in_raw(COPY).await?;
    let mut chunk = Rows::new(Timestamp::now().as_nanos(), CHUNK_BYTES + CHUNK_BYTES / 4);
    for (place, record) in rows {
        chunk.push(record, *place)?;
        if chunk.bytes().len() >= CHUNK_BYTES {
            copy.send(chunk.bytes()).await?;
            chunk.sent();
        }
    }
    chunk.finish();
    copy.send(chunk.bytes()).await?;
    copy.finish().await?;
    Ok(())
}
