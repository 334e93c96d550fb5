//! The gateway's side of the store.

use crate::{LateEvents, LedgerRow};
use async_trait::async_trait;
use record::{Level, LogRecord, OrganizationId, Timestamp, Uuid};
use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// Which events of an organisation are meant.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Whose events; no query ever sees another's.
    pub organization: OrganizationId,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// One of these levels; empty means any.
    pub levels: Vec<Level>,
    /// Exactly this service.
    pub service: Option<String>,
    /// Words that all occur in the message or the attributes, in any case.
    pub words: Vec<String>,
}

/// A search, newest events first.
#[derive(Debug, Clone)]
pub struct SearchQuestion {
    /// Which events.
    pub filter: Filter,
    /// At most so many.
    pub limit: usize,
    /// Go on after the page that answered this cursor.
    pub after: Option<Cursor>,
    /// Stop looking after this time and answer what was found, with a cursor to go on.
    pub budget: Duration,
}

/// One page of a search.
#[derive(Debug, Clone)]
pub struct Page {
    /// Events, newest first; among equal times the last stored first.
    pub logs: Vec<LogRecord>,
    /// Where the next page begins; `None` when there is nothing more.
    pub next: Option<Cursor>,
}

/// A place between two events in the order of a search: after (time, number of the row).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the last event looked at.
    pub timestamp: Timestamp,
    /// Its number in the store.
    pub row: i64,
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not made by this service; pass nextCursor as it came, or leave it out to begin anew")]
pub struct CursorError;

/// Text that clients pass back unread: 32 hexadecimal digits, time first.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.timestamp.as_nanos(), self.row)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let half = |range| text.get(range).filter(|s: &&str| s.bytes().all(|b| b.is_ascii_hexdigit()));
        match (text.len(), half(0..16), half(16..32)) {
            (32, Some(time), Some(row)) => {
                let nanos = i64::from_str_radix(time, 16).map_err(|_| CursorError)?;
                let row = i64::from_str_radix(row, 16).map_err(|_| CursorError)?;
                Ok(Cursor { timestamp: Timestamp::from_nanos(nanos).ok_or(CursorError)?, row })
            }
            _ => Err(CursorError),
        }
    }
}

/// How many events fall into each interval of time.
#[derive(Debug, Clone)]
pub struct StatsQuestion {
    /// Which events.
    pub filter: Filter,
    /// Width of a bucket; buckets begin at its multiples since 1970.
    pub interval: Duration,
    /// Stop counting after this time and answer what was counted, marked partial.
    pub budget: Duration,
}

/// Events in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// First instant of the interval.
    pub start: Timestamp,
    /// Events by level; levels without events are left out.
    pub by_level: BTreeMap<Level, u64>,
}

/// Counts by interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsAnswer {
    /// Intervals that have events, oldest first.
    pub buckets: Vec<Bucket>,
    /// Whether the budget ended before all was counted; the newest were counted first.
    pub partial: bool,
}

/// The store could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// More queries are waiting than the store answers.
    #[error("too many queries are waiting for the store")]
    Busy,
    /// The store cannot be asked now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// What the gateway asks; shared by all requests of a process.
#[async_trait]
pub trait Query: Send + Sync + 'static {
    /// A page of events.
    async fn search(&self, question: SearchQuestion) -> Result<Page, QueryError>;
    /// One event by id, if the organisation has it.
    async fn get(&self, organization: &OrganizationId, id: Uuid) -> Result<Option<LogRecord>, QueryError>;
    /// Times of the oldest and the newest event that the filter means, words left aside; `None` when there is none. Where
    /// looking for its levels or its service would take too long, a store may leave them aside too: the span is then
    /// wider, never narrower.
    async fn span(&self, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>, QueryError>;
    /// Counts by time.
    async fn stats(&self, question: StatsQuestion) -> Result<StatsAnswer, QueryError>;
    /// What became of every offset, a row a partition.
    async fn ledger(&self) -> Result<Vec<LedgerRow>, QueryError>;
    /// Follows which organisations have events that came late, for who keeps answers. Each call is another follower, and
    /// may cost a connection.
    fn late_events(&self) -> Box<dyn LateEvents>;
    /// Whether the store answers; for readiness.
    async fn ready(&self) -> Result<(), QueryError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back(nanos in 0..=Timestamp::MAX.as_nanos(), row in 0..i64::MAX) {
            let cursor = Cursor { timestamp: Timestamp::from_nanos(nanos).unwrap(), row };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "abc", "zz", &"f".repeat(32), &"+".repeat(32), "é".repeat(16).as_str()] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
