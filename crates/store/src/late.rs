//! Events that come late: they change what was answered about a time that seemed to be over.
//!
//! Whoever keeps answers has to hear of them, and only the store sees them all, so the store tells, once they are
//! committed.

use async_trait::async_trait;
use record::{LogRecord, OrganizationId, Timestamp};
use std::{collections::HashSet, time::Duration};

/// What is at least so old seems to be over: answers about it may be kept for longer. Events that are older when they are
/// stored are told of.
pub const SETTLED: Duration = Duration::from_secs(5 * 60);

/// Events are told of so much before they are late by our own clock. Between a consumer and a gateway, clocks may differ
/// by this, less the time from looking at an event to its commit (some seconds).
const MARGIN: Duration = Duration::from_secs(60);

/// Bytes of organisations' names that are told at one time, each with a blank: PostgreSQL passes 8000 on.
const NAMES_BYTES: usize = 7_900;

/// What is heard of late events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LateNews {
    /// From now on all is heard; what came before may have been missed.
    Listening,
    /// Late events of these organisations are stored now.
    Of(Vec<OrganizationId>),
    /// Late events of more organisations than can be told, or of nobody knows which.
    OfAny,
    /// Nothing is heard until [`LateNews::Listening`].
    Lost,
}

/// Follows what is told of late events.
#[async_trait]
pub trait LateEvents: Send {
    /// Waits for the next news. Nothing is said before [`LateNews::Listening`]; there is no end.
    async fn next(&mut self) -> LateNews;
}

/// What is to be told when these events are committed; nothing when none is late.
pub(crate) fn news(rows: &[LogRecord], now: Timestamp) -> Option<LateNews> {
    let margin = i64::try_from((SETTLED - MARGIN).as_nanos()).unwrap_or(i64::MAX);
    let before = now.as_nanos().saturating_sub(margin);
    let late = rows.iter().filter(|row| row.timestamp.as_nanos() < before);
    let organizations: HashSet<&OrganizationId> = late.map(|row| &row.organization_id).collect();
    let bytes: usize = organizations.iter().map(|organization| organization.as_str().len() + 1).sum();
    match organizations.len() {
        0 => None,
        _ if bytes > NAMES_BYTES => Some(LateNews::OfAny),
        _ => Some(LateNews::Of(organizations.into_iter().cloned().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Level, Uuid};

    fn event(organization: &str, now: Timestamp, age: Duration) -> LogRecord {
        let nanos = now.as_nanos() - i64::try_from(age.as_nanos()).unwrap();
        LogRecord {
            id: Uuid::nil(),
            organization_id: organization.parse().unwrap(),
            timestamp: Timestamp::from_nanos(nanos).unwrap(),
            level: Level::Info,
            service: String::new(),
            message: String::new(),
            trace_id: None,
            span_id: None,
            attributes: None,
        }
    }

    #[test]
    fn only_organisations_with_late_events_are_told_each_once() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let (late, soon) = (SETTLED - Duration::from_secs(59), SETTLED - MARGIN);
        assert_eq!(news(&[], now), None);
        assert_eq!(news(&[event("acme", now, Duration::ZERO), event("acme", now, soon)], now), None);
        let rows = [event("acme", now, late), event("new", now, soon), event("acme", now, SETTLED)];
        assert_eq!(news(&rows, now), Some(LateNews::Of(vec!["acme".parse().unwrap()])));
    }

    #[test]
    fn more_names_than_can_be_told_stand_for_all() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let of = |count: usize| -> Vec<LogRecord> {
            (0..count).map(|number| event(&format!("{number:0>99}"), now, SETTLED)).collect()
        };
        assert!(matches!(news(&of(79), now), Some(LateNews::Of(names)) if names.len() == 79));
        assert_eq!(news(&of(80), now), Some(LateNews::OfAny));
    }
}
