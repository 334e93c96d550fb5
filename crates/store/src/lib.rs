//! Rows, positions, dead letters, the ledger and queries: all that is kept of the events, and the only SQL.
//!
//! Two sides of one database. The consumer writes through [`Sink`]; the gateway asks through [`Query`]. [`embedded`]
//! implements both on one SQLite file for a pipeline on a single machine, `postgres` (a feature) on PostgreSQL.
//!
//! Exactly once rests on one rule: a [`Flush`] stores its rows **and** moves its partition's position from
//! `expected` to `next` in one transaction, or does neither. Whoever lost the partition finds the position moved and
//! stores nothing, so no record is ever stored twice. An event that its client sent twice is two records: the store tells
//! the second by its id, brings no row of it, and counts it ([`Flushed`]).
//!
//! Offsets mean the same records for ever, until a partition loses its end: then it begins its next epoch
//! ([`Sink::begin_epoch`]), with a position and a row of the [ledger](LedgerRow) of its own.

pub mod embedded;
mod late;
mod ledger;
mod outbox;
#[cfg(feature = "postgres")]
pub mod postgres;
mod query;
mod sink;
mod texts;
mod words;

pub use late::{LateEvents, LateNews, SETTLED};
pub use ledger::{LedgerRow, Position};
pub use outbox::{DeadLetter, Outbox, Publication};
pub use query::{
    Bucket, Cursor, CursorError, Filter, Page, Query, QueryError, SearchQuestion, StatsAnswer, StatsQuestion,
};
pub use sink::{
    Flush, FlushError, Flushed, Letter, LetterId, NewLetter, Outcome, PartitionKey, Refusal, Sink, SinkError,
};
pub use words::Words;
