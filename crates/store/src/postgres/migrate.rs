//! Brings the tables to the version that this program knows, once, whoever comes first.

use super::failure::Failure;
use sqlx::PgConnection;

/// All versions, oldest first. One that was released is never changed.
const MIGRATIONS: &[(i32, &str)] = &[
    (1, include_str!("../../migrations/0001_tables.sql")),
    (2, include_str!("../../migrations/0002_epochs.sql")),
];

/// "lp:table" in ASCII: whoever changes tables holds this lock.
const LOCK: i64 = 0x6c70_3a74_6162_6c65;

/// Runs the migrations that the database has not seen, in one transaction. Several processes may do so together: one
/// runs them, the others wait and find nothing to do.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Failure> {
    // A change of large tables may take its time, and the others wait for it.
    sqlx::raw_sql("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .execute(&mut *connection)
        .await?;
    lock(connection).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS logpipeline_migrations
             (version integer PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now())",
    )
    .execute(&mut *connection)
    .await?;
    let newest = version(connection).await?;
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    if newest > known {
        return Err(Failure::Misconfigured(format!(
            "the tables have version {newest}, this program knows versions up to {known}: use a newer program"
        )));
    }
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > newest) {
        sqlx::raw_sql(*sql).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO logpipeline_migrations (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *connection)
            .await?;
        tracing::info!(version, "the store's tables are brought to a new version");
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// Keeps other processes from changing tables until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}

/// Whether the tables are those that this program knows.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), Failure> {
    let (found, known) = (version(connection).await?, MIGRATIONS.last().map_or(0, |(version, _)| *version));
    if found == known {
        return Ok(());
    }
    Err(Failure::Misconfigured(format!(
        "the tables have version {found}, this program works with version {known}: run its migrations, or the newer program"
    )))
}

/// The same, and whether the server takes writes.
pub(super) async fn check_writable(connection: &mut PgConnection) -> Result<(), Failure> {
    check(connection).await?;
    let reads_only: bool = sqlx::query_scalar("SELECT current_setting('transaction_read_only')::bool")
        .fetch_one(connection)
        .await?;
    if reads_only {
        return Err(Failure::Outage(
            "the server only reads: it is a standby, or a failover is under way".into(),
        ));
    }
    Ok(())
}

async fn version(connection: &mut PgConnection) -> Result<i32, Failure> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM logpipeline_migrations")
        .fetch_one(connection)
        .await?)
}
