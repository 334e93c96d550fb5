//! Events from rows: pages of a search, and single events by id.

use super::{
    failure::Failure,
    positions::uuid,
    scan::{EVENT, Judge, Part, Range, events_sql},
};
use crate::{Cursor, Page, SearchQuestion, Words};
use record::{Level, LogRecord, OrganizationId, Timestamp, Uuid};
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::{Duration, Instant};

/// Events that the first statement of a search looks at; each further one looks at twice as many, up to the most.
const FIRST_LOOK: i64 = 1_000;
/// About 50 ms of looking for words.
const LONGEST_LOOK: i64 = 16_000;
/// How far the time of an event may be from the time in its id to be found by the index on time.
const NEARLY: Duration = Duration::from_secs(2);

/// A page of events.
pub(super) async fn search(
    connection: &mut PgConnection,
    question: &SearchQuestion,
) -> Result<Page, Failure> {
    let deadline = Instant::now() + question.budget;
    let mut looking = Looking::new(question);
    while let Some(candidates) = looking.look(connection).await? {
        looking.take(candidates)?;
        if looking.page.logs.len() >= question.limit || Instant::now() >= deadline {
            break;
        }
    }
    Ok(looking.page())
}

/// A search under way.
struct Looking<'a> {
    question: &'a SearchQuestion,
    words: Words,
    judge: Judge<'a>,
    /// What is left to look at; `None` when nothing is.
    left: Option<Range>,
    next_look: i64,
    page: Page,
}

impl<'a> Looking<'a> {
    fn new(question: &'a SearchQuestion) -> Looking<'a> {
        let filter = &question.filter;
        let judge = Judge::new(filter);
        let left = Range::new(filter, question.after);
        Looking {
            left: (!judge.means_nothing(filter) && question.limit > 0).then_some(left),
            question,
            words: Words::new(&filter.words),
            judge,
            next_look: FIRST_LOOK,
            page: Page { logs: Vec::new(), next: None },
        }
    }

    /// Looks at the next events; `None` when there is nothing left to look at. Answers those that may be meant, and
    /// remembers what is left.
    async fn look(&mut self, connection: &mut PgConnection) -> Result<Option<Vec<PgRow>>, Failure> {
        let Some((range, part)) = self.left.and_then(|range| Some((range, range.part()?))) else {
            self.left = None;
            return Ok(None);
        };
        let wanted = self.question.limit - self.page.logs.len();
        let looks = match i64::try_from(wanted) {
            Ok(wanted) if self.judge.means_all() => wanted.min(LONGEST_LOOK),
            _ => self.next_look,
        };
        self.next_look = (self.next_look * 2).min(LONGEST_LOOK);
        let sql = events_sql(part, &self.judge, wanted);
        let query = bind(&sql, &self.question.filter.organization, part, looks, &self.judge);
        let rows = query.fetch_all(connection).await?;
        // The last row is the last that is wanted, or the last that was looked at; else the part has no more.
        let stopped = match rows.last() {
            Some(last) if rows.len() >= wanted || last.try_get::<i64, _>(10)? == looks => {
                Some((last.try_get(0)?, last.try_get(1)?))
            }
            _ => None,
        };
        self.left = match stopped {
            Some(before) => Some(Range { before, ..range }),
            None => range.without(part),
        };
        Ok(Some(rows))
    }

    fn take(&mut self, candidates: Vec<PgRow>) -> Result<(), Failure> {
        for row in candidates {
            if !row.try_get::<bool, _>(9)? {
                continue;
            }
            let event = event(&row, &self.question.filter.organization)?;
            let attributes = event.attributes.as_deref().map(RawValue::get);
            if !self.judge.leaves_words || self.words.all_in(&event.message, attributes) {
                self.page.logs.push(event);
            }
        }
        Ok(())
    }

    fn page(mut self) -> Page {
        let before = self.left.filter(|range| range.part().is_some()).map(|range| range.before);
        self.page.next =
            before.and_then(|(time, row)| Some(Cursor { timestamp: Timestamp::from_nanos(time)?, row }));
        self.page
    }
}

/// The statement with its values, in the order that `scan` numbers them.
pub(super) fn bind<'q>(
    sql: &str,
    organization: &'q OrganizationId,
    part: Part,
    looks: i64,
    judge: &'q Judge<'_>,
) -> Query<'q, Postgres, PgArguments> {
    let (low, high) = part.bounds();
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.as_str())
        .bind(low)
        .bind(high)
        .bind(looks)
        .bind(&judge.levels)
        .bind(judge.service);
    judge.words.iter().fold(query, |query, word| query.bind(word.as_str()))
}

/// Reads an event from the columns of [`EVENT`].
pub(super) fn event(row: &PgRow, organization: &OrganizationId) -> Result<LogRecord, Failure> {
    let damaged =
        |what: &str| Failure::Outage(format!("a row has {what} that was not stored by this program"));
    let attributes: Option<String> = row.try_get(8)?;
    let attributes = attributes.map(RawValue::from_string).transpose();
    let level = u8::try_from(row.try_get::<i16, _>(2)?).ok().and_then(Level::from_number);
    Ok(LogRecord {
        timestamp: Timestamp::from_nanos(row.try_get(0)?).ok_or_else(|| damaged("a time"))?,
        level: level.ok_or_else(|| damaged("a level"))?,
        service: row.try_get(3)?,
        message: row.try_get(4)?,
        id: uuid(row, 5)?,
        trace_id: row.try_get(6)?,
        span_id: row.try_get(7)?,
        attributes: attributes.map_err(|_| damaged("attributes"))?,
        organization_id: organization.clone(),
    })
}

/// One event; the one that comes last in a search, if there are several.
///
/// An id that was made when the event happened says where in the index on time it is. Any other is found by the summary
/// of ids that each day has; among ids that do not rise with time, that is a look through all days.
pub(super) async fn get(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    id: Uuid,
) -> Result<Option<LogRecord>, Failure> {
    if let Some(made) = made_at(id) {
        let near = i64::try_from(NEARLY.as_nanos()).unwrap_or(i64::MAX);
        let found = sqlx::query(AssertSqlSafe(get_sql(" AND timestamp BETWEEN $3 AND $4")))
            .bind(organization.as_str())
            .bind(id.to_string())
            .bind(made.saturating_sub(near))
            .bind(made.saturating_add(near))
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = found {
            return event(&row, organization).map(Some);
        }
    }
    sqlx::raw_sql(GET_BY_ID_SETTINGS).execute(&mut *connection).await?;
    let found = sqlx::query(AssertSqlSafe(get_sql("")))
        .bind(organization.as_str())
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    found.map(|row| event(&row, organization)).transpose()
}

/// A summary is read as a bitmap; the index on time would be a look at all of the organisation's events.
pub(super) const GET_BY_ID_SETTINGS: &str = "BEGIN; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off";

/// The statement that finds an id, within a time or anywhere.
pub(super) fn get_sql(within: &str) -> String {
    // Adding nothing to the organisation keeps its index out of it.
    let organization = if within.is_empty() { "organization_id || ''" } else { "organization_id" };
    format!(
        "SELECT {EVENT} FROM logs WHERE {organization} = $1 AND id = $2::text::uuid{within}
         ORDER BY timestamp DESC, place DESC LIMIT 1"
    )
}

/// Time in a UUIDv7, nanoseconds since 1970.
fn made_at(id: Uuid) -> Option<i64> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    i64::try_from(u128::from(seconds) * 1_000_000_000 + u128::from(nanos)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_v7_id_says_when_it_was_made() {
        let id: Uuid = "01936d3c-5a00-7000-8000-000000000001".parse().unwrap();
        assert_eq!(made_at(id), Some(0x0193_6d3c_5a00 * 1_000_000));
        assert_eq!(made_at(Uuid::nil()), None);
        assert_eq!(made_at(Uuid::from_u128(u128::MAX)), None);
    }
}
