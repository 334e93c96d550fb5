//! Getting records for a reader: from the batches in memory, or from the file by a connection of its own.

use super::blob::{self, BlobError};
use super::cursors::Due;
use super::database;
use super::shared::Shared;
use crate::{Batch, Record};
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, params};
use std::path::PathBuf;

/// Bytes of batches that one fetch stops at.
const FETCH_BYTES: usize = 1 << 20;

/// Why nothing could be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("partition {partition}, batch at offset {offset}: {error}")]
    Damaged { partition: i32, offset: i64, error: BlobError },
    #[error("partition {partition}: offset {offset} is missing")]
    Missing { partition: i32, offset: i64 },
}

/// The records from memory; nothing when only the file has them.
pub(super) fn from_memory(shared: &Shared, due: Due, log_start: i64) -> Option<Result<Batch, FetchError>> {
    let batches = shared.recent(due, FETCH_BYTES);
    if batches.is_empty() {
        return None;
    }
    let mut records = Vec::with_capacity(record_count(&batches));
    for batch in &batches {
        if let Err(error) = blob::decode(&batch.blob, batch.base_offset, due.offset, &mut records) {
            return Some(Err(damaged(due.partition, batch.base_offset, error)));
        }
    }
    Some(Ok(Batch { partition: due.partition, log_start, records }))
}

/// Reads the file. The connection is opened at the first fetch, and anew after an error.
pub(super) struct FileReader {
    path: PathBuf,
    connection: Option<Connection>,
}

impl FileReader {
    /// A reader of that file; opens nothing yet.
    pub(super) fn new(path: PathBuf) -> FileReader {
        FileReader { path, connection: None }
    }

    /// Reads the batch that holds the offset and some that follow. Blocks.
    pub(super) fn fetch(&mut self, due: Due) -> Result<Batch, FetchError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let (log_start, batches) = read(&mut connection, due)?;
        self.connection = Some(connection);
        let records = decode(due, log_start, &batches)?;
        Ok(Batch { partition: due.partition, log_start, records })
    }
}

fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // What a reader has read it does not read again.
    connection.execute_batch("PRAGMA cache_size = -512")?;
    Ok(connection)
}

/// The log start and the batches, as one moment saw them.
fn read(connection: &mut Connection, due: Due) -> rusqlite::Result<(i64, Vec<database::Batch>)> {
    let Due { partition, offset } = due;
    let transaction = connection.transaction()?;
    let log_start = transaction
        .prepare_cached("SELECT log_start FROM partitions WHERE partition = ?")?
        .query_row([partition], |row| row.get(0))?;
    let mut statement = transaction.prepare_cached(
        "SELECT base_offset, count, records FROM batches
         WHERE partition = ?1 AND base_offset >= coalesce(
             (SELECT max(base_offset) FROM batches WHERE partition = ?1 AND base_offset <= ?2), ?2)
         ORDER BY base_offset",
    )?;
    let mut rows = statement.query(params![partition, offset])?;
    let mut batches: Vec<database::Batch> = Vec::new();
    let mut bytes = 0;
    while bytes < FETCH_BYTES
        && let Some(row) = rows.next()?
    {
        let blob = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
        bytes += blob.len();
        batches.push(database::Batch { partition, base_offset: row.get(0)?, count: row.get(1)?, blob });
    }
    Ok((log_start, batches))
}

/// The records from the offset on. Those in front of a batch that is damaged are returned first.
fn decode(due: Due, log_start: i64, batches: &[database::Batch]) -> Result<Vec<Record>, FetchError> {
    let Due { partition, .. } = due;
    let mut records = Vec::with_capacity(record_count(batches));
    let mut expected = due.offset.max(log_start);
    for batch in batches {
        let failed = match check(batch, expected) {
            Ok(()) => blob::decode(&batch.blob, batch.base_offset, expected, &mut records)
                .map_err(|error| damaged(partition, batch.base_offset, error)),
            Err(error) => Err(error),
        };
        match failed {
            Ok(()) => expected = batch.end(),
            Err(error) if records.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    match records.is_empty() {
        true => Err(FetchError::Missing { partition, offset: expected }),
        false => Ok(records),
    }
}

fn check(batch: &database::Batch, expected: i64) -> Result<(), FetchError> {
    let partition = batch.partition;
    if !(batch.base_offset..batch.end()).contains(&expected) {
        return Err(FetchError::Missing { partition, offset: expected });
    }
    blob::verify(&batch.blob).map_err(|error| damaged(partition, batch.base_offset, error))
}

fn damaged(partition: i32, offset: i64, error: BlobError) -> FetchError {
    FetchError::Damaged { partition, offset, error }
}

fn record_count(batches: &[database::Batch]) -> usize {
    batches.iter().map(|batch| usize::try_from(batch.count).unwrap_or(0)).sum()
}
