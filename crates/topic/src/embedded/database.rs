//! The writing side of the database file: its schema, one transaction a group of batches, trimming.

use super::OpenError;
use crate::TopicId;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::Path;

/// "LPTP": tells this file from any other SQLite file.
const APPLICATION_ID: i64 = 0x4c50_5450;
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE topic (topic_id BLOB NOT NULL, created_ms INTEGER NOT NULL);
    CREATE TABLE probe (filler BLOB NOT NULL);
    CREATE TABLE partitions (
        partition INTEGER PRIMARY KEY,
        log_start INTEGER NOT NULL,
        end       INTEGER NOT NULL,
        bytes     INTEGER NOT NULL
    );
    CREATE TABLE batches (
        partition   INTEGER NOT NULL,
        base_offset INTEGER NOT NULL,
        count       INTEGER NOT NULL,
        appended_ms INTEGER NOT NULL,
        records     BLOB NOT NULL,
        PRIMARY KEY (partition, base_offset)
    );
";

/// Measured with records of 200 bytes, appended alone and by the 500: pages of 8 KiB and a table in the order of
/// appends were the fastest for both; smaller pages cost time for large batches, larger ones write more for small ones.
const PRAGMAS: &str = "
    PRAGMA page_size = 8192;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA cache_size = -16384;
    PRAGMA wal_autocheckpoint = 2000;
    PRAGMA journal_size_limit = 67108864;
";

/// Offsets that a partition holds: from `log_start` up to, without, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) log_start: i64,
    pub(super) end: i64,
}

/// A batch of one partition, encoded.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) partition: i32,
    pub(super) base_offset: i64,
    pub(super) count: u32,
    pub(super) blob: Bytes,
}

impl Batch {
    /// Offset after the last record.
    pub(super) fn end(&self) -> i64 {
        self.base_offset + i64::from(self.count)
    }
}

/// What a step of trimming did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trimmed {
    pub(super) log_start: i64,
    pub(super) freed_bytes: u64,
    /// Whether batches below the offset are left for another step.
    pub(super) more: bool,
}

/// The connection that writes; there is one.
pub(super) struct Database {
    connection: Connection,
}

/// What a database holds when it is opened.
pub(super) struct Contents {
    pub(super) topic: TopicId,
    pub(super) extents: Vec<Extent>,
    pub(super) bytes: u64,
}

impl Database {
    /// Opens the file, makes it when it is not there, and adds the partitions it lacks.
    pub(super) fn open(path: &Path, partitions: u32, now_ms: i64) -> Result<(Database, Contents), OpenError> {
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        create(&transaction, path, now_ms)?;
        let stored: u32 = transaction.query_row("SELECT count(*) FROM partitions", [], |row| row.get(0))?;
        if stored > partitions {
            return Err(OpenError::FewerPartitions { stored, asked: partitions });
        }
        for partition in stored..partitions {
            transaction.execute("INSERT INTO partitions VALUES (?, 0, 0, 0)", [partition])?;
        }
        let contents = contents(&transaction)?;
        transaction.commit()?;
        Ok((Database { connection }, contents))
    }

    /// Appends the batches in one transaction; when it returns they are on the disk, or nothing of them is.
    pub(super) fn append(&mut self, batches: &[Batch], appended_ms: i64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO batches VALUES (?, ?, ?, ?, ?)")?;
            let mut advance = transaction
                .prepare_cached("UPDATE partitions SET end = ?2, bytes = bytes + ?3 WHERE partition = ?1")?;
            for batch in batches {
                let Batch { partition, base_offset, count, blob } = batch;
                insert.execute(params![partition, base_offset, count, appended_ms, &blob[..]])?;
                advance.execute(params![partition, batch.end(), stored_bytes(batch)])?;
            }
        }
        transaction.commit()
    }

    /// Deletes the batches of a partition that end at or below `below`, up to about `most_bytes` of them.
    pub(super) fn trim(&mut self, partition: i32, below: i64, most_bytes: u64) -> rusqlite::Result<Trimmed> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut log_start, end): (i64, i64) = transaction.query_row(
            "SELECT log_start, end FROM partitions WHERE partition = ?",
            [partition],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let below = below.min(end);
        let mut freed_bytes = 0;
        let mut more = false;
        {
            let mut batches = transaction.prepare_cached(
                "SELECT base_offset + count, length(records) FROM batches
                 WHERE partition = ? AND base_offset < ? ORDER BY base_offset",
            )?;
            let mut rows = batches.query([partition.into(), below])?;
            while let Some(row) = rows.next()? {
                let (batch_end, bytes): (i64, u32) = (row.get(0)?, row.get(1)?);
                if batch_end > below {
                    break;
                }
                if freed_bytes >= most_bytes {
                    more = true;
                    break;
                }
                log_start = batch_end;
                freed_bytes += u64::from(bytes);
            }
        }
        if freed_bytes > 0 {
            transaction
                .prepare_cached("DELETE FROM batches WHERE partition = ? AND base_offset < ?")?
                .execute([partition.into(), log_start])?;
            transaction
                .prepare_cached(
                    "UPDATE partitions SET log_start = ?2, bytes = bytes - ?3 WHERE partition = ?1",
                )?
                .execute(params![partition, log_start, i64::try_from(freed_bytes).unwrap_or(i64::MAX)])?;
        }
        transaction.commit()?;
        Ok(Trimmed { log_start, freed_bytes, more })
    }

    /// Gives free pages beyond `spare_bytes` back to the file system, up to `most_bytes` of them.
    pub(super) fn shrink(&mut self, spare_bytes: u64, most_bytes: u64) -> rusqlite::Result<()> {
        let pragma = |name: &str| -> rusqlite::Result<u64> {
            let value: i64 = self.connection.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(u64::try_from(value).unwrap_or(0))
        };
        let page = pragma("page_size")?.max(1);
        let excess = pragma("freelist_count")?.saturating_sub(spare_bytes / page).min(most_bytes / page);
        if excess > 0 {
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({excess})"))?;
            let mut pages = vacuum.query([])?;
            // Each step frees a page; the transaction ends with the last one.
            while pages.next()?.is_some() {}
        }
        Ok(())
    }

    /// Writes as much as a batch may have and takes it away again: proves that the topic can be written to.
    pub(super) fn probe(&mut self, bytes: u32) -> rusqlite::Result<()> {
        self.connection.execute("INSERT INTO probe VALUES (zeroblob(?))", [bytes])?;
        self.connection.execute("DELETE FROM probe", []).map(|_| ())
    }

    /// Makes the disk look full, or not full any more.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }

    /// Moves all of the write-ahead log into the database file.
    pub(super) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

fn stored_bytes(batch: &Batch) -> i64 {
    i64::try_from(batch.blob.len()).unwrap_or(i64::MAX)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(PRAGMAS)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(mode, "the file system does not allow a write-ahead log; appends are slower");
    }
    Ok(())
}

fn create(connection: &Connection, path: &Path, now_ms: i64) -> Result<(), OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, SCHEMA_VERSION) => Ok(()),
        (0, 0) if tables == 0 => {
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            let topic = uuid::Uuid::now_v7();
            connection.execute(
                "INSERT INTO topic (topic_id, created_ms) VALUES (?, ?)",
                params![&topic.as_bytes()[..], now_ms],
            )?;
            Ok(())
        }
        _ => Err(OpenError::NotATopic(path.to_owned())),
    }
}

fn contents(connection: &Connection) -> Result<Contents, OpenError> {
    let topic: Option<[u8; 16]> =
        connection.query_row("SELECT topic_id FROM topic", [], |row| row.get(0)).optional()?;
    let topic = topic.map(uuid::Uuid::from_bytes).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let mut partitions =
        connection.prepare("SELECT log_start, end, bytes FROM partitions ORDER BY partition")?;
    let rows = partitions.query_map([], |row| {
        Ok((Extent { log_start: row.get(0)?, end: row.get(1)? }, row.get::<_, i64>(2)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let bytes = rows.iter().map(|(_, bytes)| u64::try_from(*bytes).unwrap_or(0)).sum();
    let extents = rows.into_iter().map(|(extent, _)| extent).collect();
    Ok(Contents { topic: TopicId(topic), extents, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &tempfile::TempDir) -> Database {
        Database::open(&dir.path().join("topic.db"), 2, 0).unwrap().0
    }

    fn pragma(database: &Database, name: &str) -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        format!("{:?}", database.connection.pragma_query_value(None, name, value).unwrap())
    }

    fn append(database: &mut Database, base_offset: i64, bytes: usize) {
        let batch = Batch { partition: 1, base_offset, count: 10, blob: Bytes::from(vec![7; bytes]) };
        database.append(&[batch], 5).unwrap();
    }

    /// No test can cut the power: this one says that the pragmas that protect from it are in force.
    #[test]
    fn an_append_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let database = open(&dir);
            assert_eq!(pragma(&database, "journal_mode"), r#"Text("wal")"#);
            assert_eq!(pragma(&database, "synchronous"), "Integer(2)");
            assert_eq!(pragma(&database, "fullfsync"), "Integer(1)");
            assert_eq!(pragma(&database, "auto_vacuum"), "Integer(2)");
            assert_eq!(pragma(&database, "page_size"), "Integer(8192)");
        }
    }

    #[test]
    fn a_large_trim_goes_in_steps() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = open(&dir);
        (0..5).for_each(|n| append(&mut database, n * 10, 1000));
        let step = database.trim(1, 45, 1500).unwrap();
        assert_eq!(step, Trimmed { log_start: 20, freed_bytes: 2000, more: true });
        let step = database.trim(1, 45, 1500).unwrap();
        assert_eq!(step, Trimmed { log_start: 40, freed_bytes: 2000, more: false });
        let step = database.trim(1, 45, 1500).unwrap();
        assert_eq!(step, Trimmed { log_start: 40, freed_bytes: 0, more: false });
        drop(database);
        let (_, contents) = Database::open(&dir.path().join("topic.db"), 2, 0).unwrap();
        assert_eq!(contents.bytes, 1000);
        assert_eq!(contents.extents[1], Extent { log_start: 40, end: 50 });
    }

    #[test]
    fn free_space_beyond_the_spare_goes_back_to_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let size = || std::fs::metadata(dir.path().join("topic.db")).unwrap().len();
        let mut database = open(&dir);
        (0..10).for_each(|n| append(&mut database, n * 10, 1 << 20));
        database.trim(1, 100, u64::MAX).unwrap();
        database.checkpoint().unwrap();
        assert!(size() > 10 << 20);
        database.shrink(4 << 20, 2 << 20).unwrap();
        database.checkpoint().unwrap();
        assert!((7 << 20..9 << 20).contains(&size()), "one step: {}", size());
        for _ in 0..9 {
            database.shrink(4 << 20, 2 << 20).unwrap();
        }
        database.checkpoint().unwrap();
        assert!((4 << 20..5 << 20).contains(&size()), "the spare stays: {}", size());
    }
}
