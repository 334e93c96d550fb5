//! `GET /api/v1/stats`: counts by time and level.

use crate::{
    Gateway,
    auth::MayRead,
    filter::filter,
    limits::Limited,
    params::{Params, bad, seconds},
    reads::{Answer, Freshness, Key, ReadError},
};
use axum::extract::State;
use process::problem::Problem;
use record::{Level, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use store::{Filter, StatsQuestion};

/// Buckets when the request does not say how wide they are.
const USUAL: u64 = 120;
/// Buckets an answer may have.
const MOST: u64 = 5_000;
/// Time the store may count before it answers what it has.
const BUDGET: Duration = Duration::from_secs(3);
/// Widths that people read easily, in seconds, up to a day; from there on whole days.
const WIDTHS: [u64; 13] = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, DAY];
const DAY: u64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsParams {
    organization: Option<String>,
    from: Option<String>,
    to: Option<String>,
    level: Option<String>,
    service: Option<String>,
    q: Option<String>,
    interval: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsAnswer {
    total: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    interval_seconds: u64,
    buckets: Vec<Bucket>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    start: Timestamp,
    count: u64,
    by_level: BTreeMap<Level, u64>,
}

pub(crate) async fn stats(
    State(gateway): State<Gateway>,
    Limited(MayRead(caller), _): Limited<MayRead>,
    Params(params): Params<StatsParams>,
) -> Result<Answer, Problem> {
    let filter = filter(
        &caller,
        params.organization.as_deref(),
        (params.from.as_deref(), params.to.as_deref()),
        params.level.as_deref(),
        params.service.as_deref(),
        params.q.as_deref(),
    )?;
    let asked = params.interval.as_deref().map(|text| seconds("interval", text)).transpose()?;
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        // Judged before anybody is asked; an open end is judged when it is known.
        interval(asked, length(from, to))?;
    }
    let key = Key {
        organization: Some(filter.organization.clone()),
        route: "stats",
        question: format!("{filter:?} {asked:?}"),
    };
    let freshness = Freshness::until(filter.to, Timestamp::now());
    let reads = gateway.reads().clone();
    Ok(reads.answer(key, freshness, count(gateway, filter, asked)).await?)
}

async fn count(gateway: Gateway, mut filter: Filter, asked: Option<u64>) -> Result<StatsAnswer, ReadError> {
    if filter.from.is_none() || filter.to.is_none() {
        // An open end is where the organisation's events begin or end.
        let span = gateway.reads().ask(gateway.store().span(&filter)).await?;
        let Some((oldest, newest)) = span else {
            let interval_seconds = asked.unwrap_or(60);
            let (from, to, buckets) = (filter.from, filter.to, Vec::new());
            return Ok(StatsAnswer { total: 0, from, to, interval_seconds, buckets, partial: false });
        };
        let after_newest = Timestamp::from_nanos(newest.as_nanos().saturating_add(1)).unwrap_or(newest);
        filter.from.get_or_insert(oldest);
        filter.to.get_or_insert(after_newest);
    }
    let (from, to) = (filter.from, filter.to);
    let length = length(from.unwrap_or(Timestamp::MIN), to.unwrap_or(Timestamp::MAX));
    let interval_seconds =
        interval(asked, length).map_err(|wrong| ReadError::Question(wrong.detail().into()))?;
    let question = StatsQuestion { filter, interval: Duration::from_secs(interval_seconds), budget: BUDGET };
    let counted = gateway.reads().ask(gateway.store().stats(question)).await?;
    let buckets: Vec<Bucket> = counted
        .buckets
        .into_iter()
        .map(|bucket| Bucket {
            start: bucket.start,
            count: bucket.by_level.values().sum(),
            by_level: bucket.by_level,
        })
        .collect();
    let total = buckets.iter().map(|bucket| bucket.count).sum();
    Ok(StatsAnswer { total, from, to, interval_seconds, buckets, partial: counted.partial })
}

/// Seconds between two times, rounded up.
fn length(from: Timestamp, to: Timestamp) -> u64 {
    let nanos = to.as_nanos() - from.as_nanos();
    u64::try_from(nanos).unwrap_or(0).div_ceil(1_000_000_000)
}

/// Width of the buckets of a range of `length` seconds: as asked, if the answer stays bounded, else a round number.
fn interval(asked: Option<u64>, length: u64) -> Result<u64, Problem> {
    match asked {
        Some(width) if length / width > MOST => Err(bad(format!(
            "interval: {width} s over {length} s gives more than {MOST} buckets; widen it or narrow from and to"
        ))),
        Some(width) => Ok(width),
        None => Ok(WIDTHS
            .into_iter()
            .find(|width| length.div_ceil(*width) <= USUAL)
            .unwrap_or_else(|| length.div_ceil(USUAL).div_ceil(DAY) * DAY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_of_any_length_gets_few_buckets_of_a_round_width(length in 0..10_000_000_000_u64) {
            let width = interval(None, length).unwrap();
            prop_assert!(length.div_ceil(width) <= USUAL);
            prop_assert!(WIDTHS.contains(&width) || width.is_multiple_of(DAY));
        }
    }

    #[test]
    fn an_interval_that_is_too_narrow_is_refused() {
        assert_eq!(interval(Some(10), 3600).unwrap(), 10);
        assert!(interval(Some(1), 86_400).unwrap_err().detail().contains("5000 buckets"));
    }
}
