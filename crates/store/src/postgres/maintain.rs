//! Makes partitions ahead, drops those behind the retention, empties what has no partition of its own.
//!
//! Each step is a transaction of its own that waits only briefly for its locks, looks whether it is still to be done, and
//! can be repeated. So any number of processes may do this at any time, and none holds up a flush for longer than
//! [`LOCK_TIMEOUT`].

use super::{
    config::Config,
    failure::Failure,
    letter_bytes, migrate, outbox,
    partitions::{Day, plan},
};
use record::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;

/// How long a step waits for a lock; what comes behind it waits as long.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a step is tried when it does not get its lock; then it is left to the next time.
const TRIES: u32 = 5;
/// Rows deleted by one statement.
const STEP_ROWS: i64 = 10_000;
/// Statements that delete rows, at one time.
const STEPS: u32 = 100;
/// A partition that stored nothing for so many days forgets its ids: most likely its topic is gone, and repetitions come
/// within minutes.
const IDLE_DAYS: i64 = 7;
/// Partitions whose ids are forgotten by one statement.
const STEP_PARTITIONS: i64 = 10;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Partitions that were made.
    pub made: Vec<String>,
    /// Partitions that were dropped, with all events of their day.
    pub dropped: Vec<String>,
    /// Steps that did not get their lock in time and are left to the next time: partitions, and why.
    pub left: Vec<(String, String)>,
    /// Events of `logs_other` that were deleted.
    pub deleted_events: u64,
    /// Dead letters that were deleted: published, and behind the retention or too many bytes.
    pub deleted_letters: u64,
    /// Flushes whose ids were forgotten, because their partition stored nothing for [`IDLE_DAYS`].
    pub forgotten_flushes: u64,
}

/// Does what is to be done.
pub(super) async fn maintain(
    connection: &mut PgConnection,
    now: Timestamp,
    config: &Config,
) -> Result<Maintenance, Failure> {
    let plan = plan(&partitions(connection).await?, now, config);
    let mut done = Maintenance::default();
    for day in plan.make {
        match patiently(connection, &make_sql(day)).await {
            Ok(true) => done.made.push(day.partition()),
            Ok(false) => {}
            Err(Failure::Outage(reason)) => done.left.push((day.partition(), reason)),
            Err(other) => return Err(other),
        }
    }
    for day in plan.drop {
        match patiently(connection, &drop_sql(day)).await {
            Ok(_) => done.dropped.push(day.partition()),
            Err(Failure::Outage(reason)) => done.left.push((day.partition(), reason)),
            Err(other) => return Err(other),
        }
    }
    done.deleted_events = delete(connection, &delete_events_sql(plan.keep_from)).await?;
    done.deleted_letters = delete_letters(connection, plan.keep_from, config).await?;
    done.forgotten_flushes = delete(connection, &forget_ids_sql(Day::of(now).before(IDLE_DAYS))).await?;
    Ok(done)
}

async fn partitions(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = to_regclass('logs')",
    )
    .fetch_all(connection)
    .await?)
}

/// Runs one step under the lock of all who change tables. Answers whether it changed anything.
async fn patiently(connection: &mut PgConnection, sql: &str) -> Result<bool, Failure> {
    let mut tries = 1;
    loop {
        match step(connection, sql).await {
            Err(Failure::Outage(reason)) => {
                sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
                if tries == TRIES {
                    return Err(Failure::Outage(reason));
                }
                tries += 1;
            }
            other => return other,
        }
    }
}

async fn step(connection: &mut PgConnection, sql: &str) -> Result<bool, Failure> {
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", LOCK_TIMEOUT.as_millis());
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
    migrate::lock(connection).await?;
    let before = partitions(connection).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    let changed = partitions(connection).await? != before;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(changed)
}

/// Makes a table, moves into it what came too early to have one, and attaches it. Attaching lets flushes and queries go
/// on, where making a partition at once would not; only `logs_other` is locked while it is looked through.
fn make_sql(day: Day) -> String {
    let (name, (from, to)) = (day.partition(), day.bounds());
    format!(
        "DO $$ BEGIN
             IF to_regclass('{name}') IS NULL THEN
                 CREATE TABLE {name} (LIKE logs INCLUDING ALL);
                 LOCK TABLE logs_other IN ACCESS EXCLUSIVE MODE;
                 WITH moved AS
                     (DELETE FROM logs_other WHERE timestamp >= {from} AND timestamp < {to} RETURNING *)
                 INSERT INTO {name} SELECT * FROM moved;
                 ALTER TABLE logs ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to});
             END IF;
         END $$"
    )
}

/// Dropping locks all of `logs`, but only for a moment: no row is looked at.
fn drop_sql(day: Day) -> String {
    format!("DROP TABLE IF EXISTS {}", day.partition())
}

fn delete_events_sql(keep_from: Day) -> String {
    format!(
        "DELETE FROM logs_other WHERE ctid = ANY (ARRAY
             (SELECT ctid FROM logs_other WHERE stored_on < '{}' LIMIT {STEP_ROWS}))",
        keep_from.date()
    )
}

fn forget_ids_sql(idle_since: Day) -> String {
    format!(
        "DELETE FROM recent_ids WHERE (topic_id, partition) IN
             (SELECT topic_id, partition FROM recent_ids GROUP BY topic_id, partition
              HAVING max(stored_on) < '{}' LIMIT {STEP_PARTITIONS})",
        idle_since.date()
    )
}

/// Deletes published letters: those behind the retention, then those that are too much.
async fn delete_letters(
    connection: &mut PgConnection,
    keep_from: Day,
    config: &Config,
) -> Result<u64, Failure> {
    let mut deleted = 0;
    for _ in 0..STEPS {
        outbox::begin(connection).await?;
        let old =
            sqlx::raw_sql(AssertSqlSafe(delete_letters_sql(keep_from))).execute(&mut *connection).await?;
        let step = old.rows_affected() + letter_bytes::trim(connection, config.max_letter_bytes).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        deleted += step;
        if step == 0 {
            break;
        }
    }
    Ok(deleted)
}

fn delete_letters_sql(keep_from: Day) -> String {
    format!(
        "DELETE FROM dead_letters WHERE id IN
             (SELECT id FROM dead_letters WHERE published_at < {} ORDER BY published_at LIMIT {STEP_ROWS})",
        keep_from.bounds().0
    )
}

/// Deletes a bounded number at one time, each step on its own.
async fn delete(connection: &mut PgConnection, sql: &str) -> Result<u64, Failure> {
    let mut deleted = 0;
    for _ in 0..STEPS {
        let step = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?.rows_affected();
        deleted += step;
        if step == 0 {
            break;
        }
    }
    Ok(deleted)
}
