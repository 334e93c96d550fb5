//! Opening the file: one process at a time, the right settings, the right version.

use super::{failure, schema};
use rusqlite::{Connection, OpenFlags, Result};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle in this one, has it open.
    #[error("{0} is in use by another process; end that process, or choose another data directory")]
    InUse(PathBuf),
    /// A newer version of the program made it.
    #[error(
        "{path} has schema version {found}, this program knows versions up to {known}; use a newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// An SQLite file, but not of this program.
    #[error("{0} belongs to another program; choose another data directory")]
    Foreign(PathBuf),
    /// It cannot be read or written.
    #[error("cannot open {path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Pages of 8 KiB took about 5 % less CPU a row than 4 KiB when storing, and hold more of a scan.
const PAGE_BYTES: i64 = 8192;
/// Changed pages are copied into the main file when the log of changes has this many: 32 MiB.
const CHECKPOINT_PAGES: i64 = 4000;
/// The log of changes keeps at most this much of the disk while it is not needed.
const IDLE_WAL_BYTES: i64 = 64 << 20;
const WRITER_CACHE_KIB: i64 = 64 << 10;
const READER_CACHE_KIB: i64 = 16 << 10;
/// Only strangers to the store ever make us wait, such as a backup or a shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the lock that keeps other processes out, as long as the file lives. The kernel lets go of it even when the
/// process is killed.
pub(super) fn lock(path: &Path) -> std::result::Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let unusable = |error: &std::io::Error| OpenError::Unusable {
        path: PathBuf::from(&name),
        reason: error.to_string(),
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| unusable(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

/// Opens the file for writing and makes it if there is none.
pub(super) fn create_or_open(path: &Path) -> std::result::Result<Connection, OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::Unusable {
        path: path.to_owned(),
        reason: failure::explain(&error),
    };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(unusable)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
    let found = schema::inspect(&connection).map_err(unusable)?;
    match found {
        schema::Found::Foreign => return Err(OpenError::Foreign(path.to_owned())),
        schema::Found::Newer(found) => {
            return Err(OpenError::Newer { path: path.to_owned(), found, known: schema::VERSION });
        }
        schema::Found::Empty | schema::Found::Older(_) | schema::Found::Current => {
            tune_writer(&connection).map_err(unusable)?;
        }
    }
    match found {
        schema::Found::Empty => {
            schema::migrate(&mut connection, 0).map_err(unusable)?;
            sync_directory(path)
                .map_err(|error| OpenError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
        }
        schema::Found::Older(version) => schema::migrate(&mut connection, version).map_err(unusable)?,
        _ => {}
    }
    Ok(connection)
}

/// Opens the file for writing again, after an error; it must still be there.
pub(super) fn reopen(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    tune_writer(&connection)?;
    Ok(connection)
}

/// Opens the file for queries. Memory-mapped reading brought nothing measurable and turns a read error into a crash.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

fn tune_writer(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk before it is answered.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", IDLE_WAL_BYTES)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Makes the new file's name survive a power failure.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
