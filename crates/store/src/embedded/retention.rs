//! Keeps the store within its size: the oldest events go first.

use super::{Config, letters, minutes::Tally};
use record::Level;
use rusqlite::{Connection, Result, TransactionBehavior};
use std::borrow::Cow;

/// Events deleted after one transaction: more than one transaction stores, so that the size is kept, and few enough
/// that the next one does not wait long.
const STEP_ROWS: i64 = 20_000;
/// Letters deleted after one transaction.
const STEP_LETTERS: i64 = 1_000;

/// Deletes a step's worth of what is too much.
pub(super) fn enforce(connection: &mut Connection, config: &Config) -> Result<()> {
    if used_bytes(connection)? > config.max_bytes {
        delete_oldest(connection)?;
    }
    if letters::usage(connection)? >= config.max_letter_bytes {
        delete_given_up(connection)?;
    }
    Ok(())
}

/// Bytes of the file that hold something. The file itself does not shrink: free pages are used again.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?;
    Ok(u64::try_from(used).unwrap_or(0))
}

fn delete_oldest(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut tally = Tally::default();
    let mut last = None;
    {
        let mut oldest = transaction.prepare_cached(
            "SELECT row, organization, timestamp, service, level FROM logs ORDER BY row LIMIT ?",
        )?;
        let mut rows = oldest.query([STEP_ROWS])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(0)?);
            let level = Level::from_number(row.get(4)?).unwrap_or(Level::Info);
            tally.count(row.get(1)?, row.get(2)?, Cow::Owned(row.get(3)?), level);
        }
    }
    let Some(last) = last else { return Ok(()) };
    let deleted = transaction.prepare_cached("DELETE FROM logs WHERE row <= ?")?.execute([last])?;
    tally.subtract(&transaction)?;
    transaction.commit()?;
    tracing::debug!(deleted, "the store has its size: the oldest events are deleted");
    Ok(())
}

fn delete_given_up(connection: &Connection) -> Result<()> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM dead_letters WHERE id IN
                 (SELECT id FROM dead_letters WHERE retry_at IS NULL ORDER BY id LIMIT ?)",
        )?
        .execute([STEP_LETTERS])?;
    if deleted > 0 {
        tracing::warn!(
            deleted,
            "the oldest dead letters are deleted to make room; the ledger still counts them"
        );
    }
    Ok(())
}
