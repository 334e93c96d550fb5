//! The tables of the file, and how a file is recognised as one of ours.

use rusqlite::{Connection, Result, TransactionBehavior};

/// Version of the tables, kept in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 2;

/// What brings a file from each version to the next, beginning with an empty one. One that was released is never
/// changed.
pub(super) const MIGRATIONS: [&str; 2] = [TABLES, EPOCHS];

/// "logs" in ASCII, kept in `PRAGMA application_id`: tells our file from another program's.
const APPLICATION: i64 = 0x6c6f_6773;

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Holds no tables yet.
    Empty,
    /// Ours, in the version this program knows.
    Current,
    /// Ours, made by an older program.
    Older(i64),
    /// Ours, made by a newer program.
    Newer(i64),
    /// Another program's.
    Foreign,
}

/// Version 1. Row numbers are never given by us, so they grow in the order of storing; retention deletes the smallest.
///
/// `logs_by_time` holds what filters and counts ask for, so that they do not touch the rows. `row` stands before
/// `level` in it because the order of a search is (time, row). Whoever changes the columns of `logs_by_id`: the
/// organisation is in it so that one that reuses another's ids cannot slow down the other's look-ups.
///
/// A dead letter without `retry_at` is given up. One that is stored by a retry leaves the table.
const TABLES: &str = "
CREATE TABLE organizations (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE logs (
    row          INTEGER PRIMARY KEY,
    organization INTEGER NOT NULL,
    timestamp    INTEGER NOT NULL CONSTRAINT timestamp_from_1970 CHECK (timestamp >= 0),
    level        INTEGER NOT NULL CONSTRAINT level_from_0_to_5 CHECK (level BETWEEN 0 AND 5),
    service      TEXT NOT NULL,
    message      TEXT NOT NULL,
    id           BLOB NOT NULL,
    trace_id     TEXT,
    span_id      TEXT,
    attributes   TEXT
) STRICT;
CREATE INDEX logs_by_time ON logs (organization, timestamp, row, level, service);
CREATE INDEX logs_by_id ON logs (id, organization);

CREATE TABLE minutes (
    organization INTEGER NOT NULL,
    minute       INTEGER NOT NULL,
    service      TEXT NOT NULL,
    trace        INTEGER NOT NULL,
    debug        INTEGER NOT NULL,
    info         INTEGER NOT NULL,
    warn         INTEGER NOT NULL,
    error        INTEGER NOT NULL,
    fatal        INTEGER NOT NULL,
    PRIMARY KEY (organization, minute, service),
    CONSTRAINT counts_not_negative CHECK (min(trace, debug, info, warn, error, fatal) >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE positions (
    topic         BLOB NOT NULL,
    partition     INTEGER NOT NULL,
    start_offset  INTEGER NOT NULL,
    next_offset   INTEGER NOT NULL,
    stored        INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    retrying      INTEGER NOT NULL DEFAULT 0,
    skipped       INTEGER NOT NULL DEFAULT 0,
    lost          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition),
    CONSTRAINT ledger_balances CHECK (next_offset - start_offset = stored + dead_lettered + skipped + lost),
    CONSTRAINT ledger_not_negative CHECK (min(stored, dead_lettered, retrying, skipped, lost) >= 0),
    CONSTRAINT ledger_retrying_is_part CHECK (retrying <= dead_lettered)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    topic       BLOB NOT NULL,
    partition   INTEGER NOT NULL,
    offset      INTEGER NOT NULL,
    key         BLOB NOT NULL,
    payload     BLOB NOT NULL,
    traceparent TEXT,
    first_at    INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    attempts    INTEGER NOT NULL CHECK (attempts >= 1),
    retry_at    INTEGER
) STRICT;
CREATE INDEX dead_letters_due ON dead_letters (retry_at, id) WHERE retry_at IS NOT NULL;
CREATE INDEX dead_letters_given_up ON dead_letters (id) WHERE retry_at IS NULL;

CREATE TABLE dead_letter_usage (bytes INTEGER NOT NULL) STRICT;
INSERT INTO dead_letter_usage VALUES (0);
CREATE TRIGGER dead_letter_comes AFTER INSERT ON dead_letters BEGIN
    UPDATE dead_letter_usage SET bytes = bytes + length(new.payload) + length(new.key);
END;
CREATE TRIGGER dead_letter_goes AFTER DELETE ON dead_letters BEGIN
    UPDATE dead_letter_usage SET bytes = bytes - length(old.payload) - length(old.key);
END;
";

/// Version 2: a partition that lost its end begins a new epoch, repetitions are counted, letters know when they were
/// appended to their topic and who refused them. The row of an epoch that ended stays as it is but for its letters.
///
/// When a letter of version 1 was appended is not known; it was not later than `first_at`.
const EPOCHS: &str = "
ALTER TABLE positions RENAME TO positions_before;
CREATE TABLE positions (
    topic         BLOB NOT NULL,
    partition     INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    ended         INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)),
    start_offset  INTEGER NOT NULL,
    next_offset   INTEGER NOT NULL,
    stored        INTEGER NOT NULL DEFAULT 0,
    duplicates    INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    retrying      INTEGER NOT NULL DEFAULT 0,
    skipped       INTEGER NOT NULL DEFAULT 0,
    lost          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition, epoch),
    CONSTRAINT ledger_balances CHECK (next_offset - start_offset = stored + dead_lettered + skipped + lost),
    CONSTRAINT ledger_not_negative CHECK (min(stored, duplicates, dead_lettered, retrying, skipped, lost) >= 0),
    CONSTRAINT ledger_duplicates_are_part CHECK (duplicates <= stored),
    CONSTRAINT ledger_retrying_is_part CHECK (retrying <= dead_lettered)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX positions_newest ON positions (topic, partition) WHERE NOT ended;
INSERT INTO positions
    (topic, partition, epoch, start_offset, next_offset, stored, dead_lettered, retrying, skipped, lost)
    SELECT topic, partition, 0, start_offset, next_offset, stored, dead_lettered, retrying, skipped, lost
    FROM positions_before;
DROP TABLE positions_before;

ALTER TABLE dead_letters ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN timestamp_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN sqlstate TEXT;
UPDATE dead_letters SET timestamp_ms = first_at / 1000000;
";

/// Looks what the file is, without changing it.
pub(super) fn inspect(connection: &Connection) -> Result<Found> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION, VERSION, _) => Found::Current,
        (APPLICATION, older @ 1..VERSION, _) => Found::Older(older),
        (APPLICATION, newer, _) if newer > VERSION => Found::Newer(newer),
        _ => Found::Foreign,
    })
}

/// Brings the tables from a version, 0 in an empty file, to the one that this program knows: all or none.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for (version, sql) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.commit()
}
