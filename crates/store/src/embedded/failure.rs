//! What an error of SQLite means, in words that say what to do.

use crate::{FlushError, PartitionKey, QueryError, SinkError};
use rusqlite::{Error, ErrorCode};

/// Why a piece of work was not done.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The position is not the expected one.
    Moved { of: PartitionKey, expected: i64, found: i64 },
    /// The data cannot be stored; the words say which part.
    Refused(String),
    /// The file cannot be used now; the words say why and what to do.
    Outage(String),
}

/// The data is at fault in few cases only; anything else is the store's trouble, so that no data is ever given up
/// because of it.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Failure::Refused(error.to_string())
            }
            _ => Failure::Outage(explain(&error)),
        }
    }
}

impl From<Failure> for FlushError {
    fn from(failure: Failure) -> FlushError {
        match failure {
            Failure::Moved { of, expected, found } => FlushError::Moved { of, expected, found },
            Failure::Refused(reason) => FlushError::Refused(reason.into()),
            Failure::Outage(reason) => FlushError::Outage(reason),
        }
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> SinkError {
        match failure {
            Failure::Refused(reason) | Failure::Outage(reason) => SinkError(reason),
            Failure::Moved { .. } => SinkError("the position moved".into()),
        }
    }
}

/// A failed read, for the asker.
pub(super) fn unavailable(error: &Error) -> QueryError {
    QueryError::Unavailable(explain(error))
}

/// The error and what to do about it.
pub(super) fn explain(error: &Error) -> String {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            "the disk is full: free some space on it, or make the store's size limit smaller"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk cannot be read or written: look whether it is full, over its quota or failing"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            "another program keeps the file locked: end it"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "the file may not be written: look at its permissions and at how its disk is mounted"
        }
        Some(ErrorCode::CannotOpen) => {
            "the file cannot be opened: look whether its directory exists and may be written"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: stop the pipeline, move the file away or restore a copy, and start again"
        }
        Some(ErrorCode::OutOfMemory) => "there is not enough memory: give the process more",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn refused_by(connection: &Connection, sql: &str) -> Failure {
        connection.execute(sql, []).unwrap_err().into()
    }

    #[test]
    fn a_full_disk_is_an_outage_and_says_what_to_do() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (b BLOB); PRAGMA max_page_count = 3").unwrap();
        match refused_by(&connection, "INSERT INTO t VALUES (zeroblob(100000))") {
            Failure::Outage(reason) => assert!(reason.contains("free some space"), "{reason}"),
            other => panic!("expected an outage, came {other:?}"),
        }
    }

    #[test]
    fn data_that_breaks_a_rule_is_refused_by_the_name_of_the_rule() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (n INTEGER CONSTRAINT even CHECK (n % 2 = 0)) STRICT")
            .unwrap();
        match refused_by(&connection, "INSERT INTO t VALUES (1)") {
            Failure::Refused(reason) => assert!(reason.contains("even"), "{reason}"),
            other => panic!("expected a refusal, came {other:?}"),
        }
        assert!(matches!(refused_by(&connection, "INSERT INTO t VALUES ('x')"), Failure::Refused(_)));
        assert!(matches!(
            refused_by(&connection, "INSERT INTO t VALUES (zeroblob(2000000000))"),
            Failure::Refused(_)
        ));
    }

    #[test]
    fn a_file_that_may_not_be_written_or_is_no_database_is_an_outage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (n)").unwrap();
        let reader = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        match refused_by(&reader, "INSERT INTO t VALUES (1)") {
            Failure::Outage(reason) => assert!(reason.contains("permissions"), "{reason}"),
            other => panic!("expected an outage, came {other:?}"),
        }
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        match refused_by(&Connection::open(&path).unwrap(), "INSERT INTO t VALUES (1)") {
            Failure::Outage(reason) => assert!(reason.contains("damaged"), "{reason}"),
            other => panic!("expected an outage, came {other:?}"),
        }
    }
}
