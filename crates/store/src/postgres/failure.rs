//! What an error of the database means, in words that say what to do. The only place that knows SQLSTATE.

use crate::{FlushError, PartitionKey, QueryError, Refusal, SinkError};
use sqlx::{Error, error::DatabaseError, postgres::PgDatabaseError};
use std::{fmt, io::ErrorKind, time::Duration};

/// Why a piece of work was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The position is not the expected one.
    Moved { of: PartitionKey, expected: i64, found: i64 },
    /// The data cannot be stored; trying the same again cannot help.
    Refused(Refusal),
    /// The database cannot be used now; trying again later can help.
    Outage(String),
    /// The same, and the connection is lost.
    Broken(String),
    /// The database cannot be used as we are configured; somebody has to change something. Nothing is the data's fault,
    /// so to the outside this is an outage that ends when that was done.
    Misconfigured(String),
}

/// The data is at fault in two classes only; anything else is the store's trouble, so that no data is ever given up
/// because of it.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Database(of_server) => by_code(&of_server.code().unwrap_or_default(), &text(&**of_server)),
            // Values that do not fit into a message of the protocol.
            Error::Encode(_) | Error::InvalidArgument(_) => Failure::Refused(error.to_string().into()),
            Error::Tls(_) => Failure::Misconfigured(format!(
                "no TLS connection can be made: look at the TLS mode, the authority's file and the server's certificate ({error})"
            )),
            // The text may hold the URL, and with it the password.
            Error::Configuration(_) => Failure::Misconfigured("it is no postgres:// URL".into()),
            Error::PoolClosed => Failure::Outage("the store is closed".into()),
            // What the TLS library refuses, such as a certificate, comes as an error of reading.
            Error::Io(refused) if refused.kind() == ErrorKind::InvalidData => {
                Failure::Misconfigured(format!(
                    "no TLS connection can be made: look at the TLS mode, the authority's file and the server's certificate ({refused})"
                ))
            }
            // The authority's file, or the directory of a socket.
            Error::Io(unread)
                if matches!(unread.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
            {
                Failure::Misconfigured(format!(
                    "a file that the settings name cannot be read: look at the authority's file and the database's URL ({unread})"
                ))
            }
            Error::Io(_) => Failure::Broken(format!(
                "the connection broke: look whether the server runs and can be reached ({error})"
            )),
            Error::PoolTimedOut => Failure::Outage(error.to_string()),
            _ => Failure::Broken(error.to_string()),
        }
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn by_code(code: &str, text: &str) -> Failure {
    let outage = |advice: &str| Failure::Outage(format!("{advice} ({text})"));
    let misconfigured = |advice: &str| Failure::Misconfigured(format!("{advice} ({text})"));
    match code {
        // Not the data: a partition was taken away, or is missing, between planning and storing.
        "23514" if text.contains("no partition of relation") => {
            misconfigured("logs_other is missing: make it again as the default partition of logs")
        }
        _ if code.starts_with("22") || code.starts_with("23") => {
            Failure::Refused(Refusal { reason: text.to_owned(), sqlstate: Some(code.to_owned()) })
        }
        "25006" => outage("the server only reads: it is a standby, or a failover is under way"),
        "53100" => outage("the server's disk is full: free some space on it, or keep fewer days"),
        "53200" => outage("the server has not enough memory"),
        "53300" => outage("the server has no connection left: raise max_connections or use smaller pools"),
        "55P03" => outage("another transaction holds a lock for too long; trying again"),
        "57014" => outage("the statement took too long; trying again"),
        "57P01" | "57P02" | "57P03" => {
            Failure::Broken(format!("the server is starting or stopping ({text})"))
        }
        _ if code.starts_with("08") => Failure::Broken(text.to_owned()),
        "28P01" => misconfigured("the server refuses the password: correct it in the database's URL"),
        _ if code.starts_with("28") => {
            misconfigured("the server refuses the login: look at user and pg_hba.conf")
        }
        "3D000" => misconfigured("the database does not exist: create it, or correct the database's URL"),
        "3F000" => misconfigured("the schema does not exist: create it, or correct search_path"),
        "42501" => misconfigured("the user may not do this: grant it what the migrations' owner has"),
        "42P01" | "42703" | "42883" => {
            misconfigured("tables are missing or of another version: run the migrations of this version")
        }
        _ if code.starts_with("42") => misconfigured("the server does not understand this version's SQL"),
        _ => Failure::Outage(text.to_owned()),
    }
}

/// The server's message and, in a COPY, the line and column that it is about.
fn text(error: &dyn DatabaseError) -> String {
    let place = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::r#where);
    let copying = place.filter(|place| place.starts_with("COPY ")).and_then(|place| place.lines().next());
    match copying {
        // The line goes on with the value, which may be long and anything.
        Some(copying) => {
            let place = copying.split_once(": ").map_or(copying, |(place, _)| place);
            format!("{}, {place}", error.message())
        }
        None => error.message().to_owned(),
    }
}

impl Failure {
    /// A refusal of ours, before the server saw the data.
    pub(super) fn refused(reason: String) -> Failure {
        Failure::Refused(reason.into())
    }

    /// No answer came within the time.
    pub(super) fn silence(after: Duration) -> Failure {
        Failure::Broken(format!("no answer within {after:?}: look at the network and at the server's load"))
    }

    /// Why, for people.
    pub(super) fn reason(self) -> String {
        match self {
            Failure::Moved { .. } => "the position moved".into(),
            Failure::Refused(refusal) => refusal.reason,
            Failure::Outage(reason) | Failure::Broken(reason) | Failure::Misconfigured(reason) => reason,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.clone().reason())
    }
}

impl From<Failure> for FlushError {
    fn from(failure: Failure) -> FlushError {
        match failure {
            Failure::Moved { of, expected, found } => FlushError::Moved { of, expected, found },
            Failure::Refused(refusal) => FlushError::Refused(refusal),
            Failure::Outage(reason) | Failure::Broken(reason) | Failure::Misconfigured(reason) => {
                FlushError::Outage(reason)
            }
        }
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> SinkError {
        SinkError(failure.reason())
    }
}

impl From<Failure> for QueryError {
    fn from(failure: Failure) -> QueryError {
        QueryError::Unavailable(failure.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Kind {
        Refused,
        Outage,
        Broken,
        Misconfigured,
    }

    fn kind(failure: &Failure) -> Kind {
        match failure {
            Failure::Refused(_) => Kind::Refused,
            Failure::Outage(_) => Kind::Outage,
            Failure::Broken(_) => Kind::Broken,
            Failure::Misconfigured(_) => Kind::Misconfigured,
            Failure::Moved { .. } => unreachable!("no SQLSTATE means this"),
        }
    }

    #[test]
    fn each_class_of_sqlstate_has_its_kind() {
        let table = [
            (Kind::Refused, vec!["22001", "22003", "22021", "22P02", "22P05", "23502", "23505", "23514"]),
            (
                Kind::Outage,
                vec![
                    "25006", "25P02", "25P03", "40001", "40P01", "53000", "53100", "53200", "53300", "54000",
                    "55006", "55P03", "57000", "57014", "58030", "XX000", "XX001", "99999", "",
                ],
            ),
            (Kind::Broken, vec!["08000", "08003", "08006", "08P01", "57P01", "57P02", "57P03"]),
            (
                Kind::Misconfigured,
                vec!["28000", "28P01", "3D000", "3F000", "42501", "42601", "42703", "42883", "42P01"],
            ),
        ];
        for (expected, codes) in table {
            for code in codes {
                let failure = by_code(code, "message");
                assert_eq!(kind(&failure), expected, "{code}");
                if let Failure::Refused(refusal) = failure {
                    assert_eq!(refusal.sqlstate.as_deref(), Some(code));
                }
            }
        }
    }

    #[test]
    fn a_missing_partition_is_not_the_datas_fault() {
        let failure = by_code("23514", r#"no partition of relation "logs" found for row"#);
        assert_eq!(kind(&failure), Kind::Misconfigured);
    }

    #[test]
    fn errors_without_sqlstate_have_their_kind_and_no_secret() {
        let table = [
            (Kind::Broken, Error::Io(ErrorKind::ConnectionReset.into())),
            (Kind::Outage, Error::PoolTimedOut),
            (Kind::Outage, Error::PoolClosed),
            (Kind::Broken, Error::Protocol("x".into())),
            (Kind::Broken, Error::WorkerCrashed),
            (Kind::Refused, Error::Encode("value is too large".into())),
            (Kind::Misconfigured, Error::Tls("server does not support TLS".into())),
            (Kind::Misconfigured, Error::Configuration("postgres://me:s3cret@db".into())),
        ];
        for (expected, error) in table {
            let shown = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(kind(&failure), expected, "{shown}");
            assert!(!failure.to_string().contains("s3cret"), "{failure}");
        }
    }
}
