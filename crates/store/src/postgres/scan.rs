//! How rows of one organisation are looked at: newest first, by the index on their time, a bounded number a statement.

use crate::{Cursor, Filter};
use record::{Level, Timestamp};

/// Columns of an event, in the order that [`super::events::event`] reads them.
pub(super) const EVENT: &str = "timestamp, place, level, service, message, id, trace_id, span_id, attributes";

/// Rows from a time up to, without, a place in the order of (time, place).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) before: (i64, i64),
}

/// A part of a range that the index finds without looking at any row outside. In one condition, comparing
/// `(timestamp, place)`, neither partitions would be left out nor equal times be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of this time, before this place.
    Tied { time: i64, place: i64 },
    /// From a time up to, without, a time.
    Earlier { from: i64, to: i64 },
}

impl Range {
    /// The rows that the filter's time bounds allow, behind the cursor.
    pub(super) fn new(filter: &Filter, after: Option<Cursor>) -> Range {
        let from = filter.from.unwrap_or(Timestamp::MIN).as_nanos();
        let to = (filter.to.map_or(i64::MAX, Timestamp::as_nanos), i64::MIN);
        let before = after.map_or(to, |cursor| to.min((cursor.timestamp.as_nanos(), cursor.row)));
        Range { from, before }
    }

    /// The part to look at next; `None` when nothing is left.
    pub(super) fn part(self) -> Option<Part> {
        let (time, place) = self.before;
        if place > i64::MIN && self.from <= time {
            return Some(Part::Tied { time, place });
        }
        (self.from < time).then_some(Part::Earlier { from: self.from, to: time })
    }

    /// What is left when everything of that part was looked at; `None` when nothing is.
    pub(super) fn without(self, part: Part) -> Option<Range> {
        match part {
            Part::Tied { time, .. } => Some(Range { before: (time, i64::MIN), ..self }),
            Part::Earlier { .. } => None,
        }
    }
}

impl Part {
    /// The condition, on `$2` and `$3`.
    fn sql(self) -> &'static str {
        match self {
            Part::Tied { .. } => "timestamp = $2 AND place < $3",
            Part::Earlier { .. } => "timestamp >= $2 AND timestamp < $3",
        }
    }

    /// Values of `$2` and `$3`.
    pub(super) fn bounds(self) -> (i64, i64) {
        match self {
            Part::Tied { time, place } => (time, place),
            Part::Earlier { from, to } => (from, to),
        }
    }
}

/// What the filter says of a row besides its time, as far as the server judges it: of the words those in ASCII, where
/// case means the same to everybody.
pub(super) struct Judge<'a> {
    pub(super) levels: Vec<i16>,
    pub(super) service: Option<&'a str>,
    /// In lower case.
    pub(super) words: Vec<String>,
    /// Whether words are left that only [`crate::Words`] can judge.
    pub(super) leaves_words: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(filter: &'a Filter) -> Judge<'a> {
        let levels = if filter.levels.is_empty() { &Level::ALL[..] } else { &filter.levels };
        let words = filter.words.iter().filter(|word| !word.is_empty());
        Judge {
            levels: levels.iter().map(|level| i16::from(level.number())).collect(),
            service: filter.service.as_deref(),
            words: words
                .clone()
                .filter(|word| word.is_ascii())
                .map(|word| word.to_ascii_lowercase())
                .collect(),
            leaves_words: words.clone().any(|word| !word.is_ascii()),
        }
    }

    /// Whether no row can be meant: no text that is stored has U+0000, and the server does not even take the question.
    pub(super) fn means_nothing(&self, filter: &Filter) -> bool {
        filter.words.iter().chain(&filter.service).any(|text| text.contains('\0'))
    }

    /// Whether every row is meant.
    pub(super) fn means_all(&self) -> bool {
        self.levels.len() == Level::ALL.len() && self.reads_index_only() && !self.leaves_words
    }

    /// Whether the index has all that the server judges.
    pub(super) fn reads_index_only(&self) -> bool {
        self.service.is_none() && self.words.is_empty()
    }

    /// The condition, on `$5` (levels), `$6` (service) and from `$7` on the words.
    fn sql(&self) -> String {
        let mut sql = String::from("level = ANY($5) AND ($6::text IS NULL OR service = $6)");
        for number in 7..7 + self.words.len() {
            sql.push_str(&format!(
                " AND (strpos(lower(message), ${number}) > 0 OR coalesce(strpos(lower(attributes), ${number}) > 0, false))"
            ));
        }
        sql
    }
}

/// Events that are meant among the next `$4`, with whether they are and their number; and in any case the last that was
/// looked at. At most `limit`, a number of ours.
pub(super) fn events_sql(part: Part, judge: &Judge<'_>, limit: usize) -> String {
    format!(
        "SELECT {EVENT}, meant, number FROM (
             SELECT *, ({judge}) AS meant, row_number() OVER () AS number FROM (
                 SELECT {EVENT} FROM logs WHERE organization_id = $1 AND {part}
                 ORDER BY timestamp DESC, place DESC LIMIT $4
             ) AS looked
         ) AS judged
         WHERE meant OR number = $4 ORDER BY timestamp DESC, place DESC LIMIT {limit}",
        judge = judge.sql(),
        part = part.sql(),
    )
}

/// Counts by interval and level of those meant among the next `$4` events and all of the last one's time; with how many
/// were looked at and the last one's time. `interval` is a number of ours, in nanoseconds.
pub(super) fn counts_sql(part: Part, judge: &Judge<'_>, interval: i64) -> String {
    let columns = if judge.reads_index_only() { "timestamp, level" } else { EVENT };
    let judge =
        if judge.reads_index_only() { "level = ANY($5) AND $6::text IS NULL".into() } else { judge.sql() };
    format!(
        "SELECT timestamp / {interval}, level, count(*) FILTER (WHERE {judge}), count(*), min(timestamp) FROM (
             SELECT {columns} FROM logs WHERE organization_id = $1 AND {part}
             ORDER BY timestamp DESC FETCH FIRST ($4) ROWS WITH TIES
         ) AS looked
         GROUP BY 1, 2",
        part = part.sql(),
    )
}

/// The time of the first event that is meant among the first `$4` from one end. Words are left aside.
pub(super) fn extreme_sql(order: Order, judge: &Judge<'_>) -> String {
    let columns = if judge.service.is_none() { "timestamp, level" } else { "timestamp, level, service" };
    let service = if judge.service.is_none() { "$6::text IS NULL" } else { "service = $6" };
    format!(
        "SELECT timestamp FROM (
             SELECT {columns} FROM logs WHERE organization_id = $1 AND timestamp >= $2 AND timestamp < $3
             ORDER BY timestamp {order} LIMIT $4
         ) AS looked
         WHERE level = ANY($5) AND {service} ORDER BY timestamp {order} LIMIT 1",
        order = order.sql(),
    )
}

/// The time of the event after the first `$4` from one end.
pub(super) fn beyond_sql(order: Order) -> String {
    format!(
        "SELECT timestamp FROM logs WHERE organization_id = $1 AND timestamp >= $2 AND timestamp < $3
         ORDER BY timestamp {} OFFSET $4 LIMIT 1",
        order.sql(),
    )
}

/// Direction of a look through time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Order {
    fn sql(self) -> &'static str {
        match self {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_looked_at_in_parts_until_nothing_is_left() {
        let organization = "acme".parse().unwrap();
        let time = |nanos| Timestamp::from_nanos(nanos);
        let filter = Filter {
            organization,
            from: time(10),
            to: time(20),
            levels: vec![],
            service: None,
            words: vec![],
        };
        let range = Range::new(&filter, None);
        assert_eq!(range.part(), Some(Part::Earlier { from: 10, to: 20 }));
        assert_eq!(range.without(range.part().unwrap()), None);
        let cursor = |nanos| Some(Cursor { timestamp: time(nanos).unwrap(), row: 7 });
        let range = Range::new(&filter, cursor(15));
        assert_eq!(range.part(), Some(Part::Tied { time: 15, place: 7 }));
        let rest = range.without(range.part().unwrap()).unwrap();
        assert_eq!(rest.part(), Some(Part::Earlier { from: 10, to: 15 }));
        assert_eq!(Range::new(&filter, cursor(25)).part(), Some(Part::Earlier { from: 10, to: 20 }));
        assert_eq!(Range::new(&filter, cursor(5)).part(), None);
        let tied_to_first = Range::new(&filter, cursor(10));
        assert_eq!(tied_to_first.without(tied_to_first.part().unwrap()).unwrap().part(), None);
    }
}
