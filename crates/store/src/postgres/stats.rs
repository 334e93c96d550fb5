//! Counts by time and level, and the span of an organisation's events.

use super::{
    events::{bind, search},
    failure::Failure,
    scan::{Judge, Order, Part, Range, beyond_sql, counts_sql, extreme_sql},
};
use crate::{Bucket, Filter, SearchQuestion, StatsAnswer, StatsQuestion};
use record::{Level, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{collections::BTreeMap, time::Instant};

/// Events that a statement counts: by the index alone, and by their texts. About 50 to 100 ms each.
const INDEX_LOOK: i64 = 100_000;
const TEXT_LOOK: i64 = 16_000;
/// Events looked at from each end for the first of a level or service.
const SPAN_LOOK: i64 = 50_000;
/// Events of one page where the server cannot count.
const PAGE: usize = 2_000;

/// Counts by interval, the newest events first.
pub(super) async fn stats(
    connection: &mut PgConnection,
    question: &StatsQuestion,
) -> Result<StatsAnswer, Failure> {
    let judge = Judge::new(&question.filter);
    let mut counts = Counts::new(question);
    if judge.means_nothing(&question.filter) {
        return Ok(counts.answer(false));
    }
    let deadline = Instant::now() + question.budget;
    let whole = if judge.leaves_words {
        count_pages(connection, question, &mut counts, deadline).await?
    } else {
        count_by_server(connection, question, &judge, &mut counts, deadline).await?
    };
    Ok(counts.answer(!whole))
}

/// Answers whether all was counted before the deadline.
async fn count_by_server(
    connection: &mut PgConnection,
    question: &StatsQuestion,
    judge: &Judge<'_>,
    counts: &mut Counts,
    deadline: Instant,
) -> Result<bool, Failure> {
    let looks = if judge.reads_index_only() { INDEX_LOOK } else { TEXT_LOOK };
    let mut range = Range::new(&question.filter, None);
    while let Some(part @ Part::Earlier { .. }) = range.part() {
        let sql = counts_sql(part, judge, counts.interval);
        let query = bind(&sql, &question.filter.organization, part, looks, judge);
        let (mut looked_at, mut last) = (0_i64, i64::MAX);
        for row in query.fetch_all(&mut *connection).await? {
            counts.add(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            looked_at += row.try_get::<i64, _>(3)?;
            last = last.min(row.try_get(4)?);
        }
        if looked_at < looks {
            return Ok(true);
        }
        range.before = (last, i64::MIN);
        if Instant::now() >= deadline {
            return Ok(range.part().is_none());
        }
    }
    Ok(true)
}

/// The same by looking at the events here.
async fn count_pages(
    connection: &mut PgConnection,
    question: &StatsQuestion,
    counts: &mut Counts,
    deadline: Instant,
) -> Result<bool, Failure> {
    let mut after = None;
    loop {
        let budget = deadline.saturating_duration_since(Instant::now());
        let page = SearchQuestion { filter: question.filter.clone(), limit: PAGE, after, budget };
        let page = search(connection, &page).await?;
        for event in &page.logs {
            counts.add(event.timestamp.as_nanos() / counts.interval, i16::from(event.level.number()), 1);
        }
        after = page.next;
        if after.is_none() || Instant::now() >= deadline {
            return Ok(after.is_none());
        }
    }
}

struct Counts {
    /// Nanoseconds.
    interval: i64,
    /// By number of the interval and of the level.
    buckets: BTreeMap<i64, BTreeMap<i16, i64>>,
}

impl Counts {
    fn new(question: &StatsQuestion) -> Counts {
        let interval = i64::try_from(question.interval.as_nanos()).unwrap_or(i64::MAX).max(1);
        Counts { interval, buckets: BTreeMap::new() }
    }

    fn add(&mut self, bucket: i64, level: i16, count: i64) {
        if count > 0 {
            *self.buckets.entry(bucket).or_default().entry(level).or_default() += count;
        }
    }

    fn answer(self, partial: bool) -> StatsAnswer {
        let level = |number: i16| u8::try_from(number).ok().and_then(Level::from_number);
        let bucket = |(number, counts): (i64, BTreeMap<i16, i64>)| Bucket {
            start: Timestamp::from_nanos(number.saturating_mul(self.interval)).unwrap_or(Timestamp::MIN),
            by_level: counts
                .into_iter()
                .filter_map(|(number, count)| Some((level(number)?, u64::try_from(count).ok()?)))
                .collect(),
        };
        StatsAnswer { buckets: self.buckets.into_iter().map(bucket).collect(), partial }
    }
}

/// Times of the oldest and the newest event that the filter means, words left aside. Where looking for its levels or
/// its service would take too long, the span is wider.
pub(super) async fn span(
    connection: &mut PgConnection,
    filter: &Filter,
) -> Result<Option<(Timestamp, Timestamp)>, Failure> {
    let judge = Judge::new(filter);
    let (Some(part), false) = (Range::new(filter, None).part(), judge.means_nothing(filter)) else {
        return Ok(None);
    };
    let oldest = extreme(connection, filter, &judge, part, Order::OldestFirst).await?;
    let newest = extreme(connection, filter, &judge, part, Order::NewestFirst).await?;
    let times = oldest.zip(newest);
    Ok(times.and_then(|(oldest, newest)| Timestamp::from_nanos(oldest).zip(Timestamp::from_nanos(newest))))
}

async fn extreme(
    connection: &mut PgConnection,
    filter: &Filter,
    judge: &Judge<'_>,
    part: Part,
    order: Order,
) -> Result<Option<i64>, Failure> {
    let (low, high) = part.bounds();
    let found = sqlx::query_scalar(AssertSqlSafe(extreme_sql(order, judge)))
        .bind(filter.organization.as_str())
        .bind(low)
        .bind(high)
        .bind(SPAN_LOOK)
        .bind(&judge.levels)
        .bind(judge.service)
        .fetch_optional(&mut *connection)
        .await?;
    if found.is_some() {
        return Ok(found);
    }
    Ok(sqlx::query_scalar(AssertSqlSafe(beyond_sql(order)))
        .bind(filter.organization.as_str())
        .bind(low)
        .bind(high)
        .bind(SPAN_LOOK)
        .fetch_optional(connection)
        .await?)
}
