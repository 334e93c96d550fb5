//! `GET /api/v1/logs` and `GET /api/v1/logs/{id}`.

use crate::{
    Gateway,
    auth::MayRead,
    filter::filter,
    limits::Limited,
    params::{Params, bad},
    reads::{Answer, Freshness, Key, ReadError},
};
use axum::extract::{Path, State};
use process::problem::Problem;
use record::{LogRecord, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Cursor, SearchQuestion};

/// Events a page may have.
const MOST: usize = 1000;
const USUAL: usize = 100;
/// Time the store may look before it answers what it has.
const BUDGET: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchParams {
    organization: Option<String>,
    from: Option<String>,
    to: Option<String>,
    level: Option<String>,
    service: Option<String>,
    q: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchAnswer {
    logs: Vec<LogRecord>,
    next_cursor: Option<String>,
}

pub(crate) async fn search(
    State(gateway): State<Gateway>,
    Limited(MayRead(caller), _): Limited<MayRead>,
    Params(params): Params<SearchParams>,
) -> Result<Answer, Problem> {
    let limit = params.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(bad(format!("limit must be 1 to {MOST}, not {limit}")));
    }
    let after = params.cursor.as_deref().map(str::parse::<Cursor>).transpose();
    let question = SearchQuestion {
        filter: filter(
            &caller,
            params.organization.as_deref(),
            (params.from.as_deref(), params.to.as_deref()),
            params.level.as_deref(),
            params.service.as_deref(),
            params.q.as_deref(),
        )?,
        limit,
        after: after.map_err(|error| bad(format!("cursor: {error}")))?,
        budget: BUDGET,
    };
    let key = Key {
        organization: Some(question.filter.organization.clone()),
        route: "logs",
        question: format!("{question:?}"),
    };
    let freshness = Freshness::until(question.filter.to, Timestamp::now());
    let reads = gateway.reads().clone();
    let make = async move {
        let page = gateway.reads().ask(gateway.store().search(question)).await?;
        Ok(SearchAnswer { logs: page.logs, next_cursor: page.next.map(|cursor| cursor.to_string()) })
    };
    Ok(reads.answer(key, freshness, make).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetParams {
    organization: Option<String>,
}

pub(crate) async fn get(
    State(gateway): State<Gateway>,
    Limited(MayRead(caller), _): Limited<MayRead>,
    Path(id): Path<String>,
    Params(params): Params<GetParams>,
) -> Result<Answer, Problem> {
    let organization = caller.reads(params.organization.as_deref())?;
    let id: Uuid = id.parse().map_err(|error| bad(format!("`{id}` is no event id: {error}")))?;
    let key = Key { organization: Some(organization.clone()), route: "log", question: id.to_string() };
    let reads = gateway.reads().clone();
    let make = async move {
        let record = gateway.reads().ask(gateway.store().get(&organization, id)).await?;
        // The same answer whether another organisation has it or nobody: ids are no oracle.
        record.ok_or_else(|| ReadError::NotFound(format!("{organization} has no event {id}")))
    };
    Ok(reads.answer(key, Freshness::UNCHANGING, make).await?)
}
