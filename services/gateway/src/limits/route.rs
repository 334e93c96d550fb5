//! `GET /api/v1/limits`: the caller's own limits and what is left of them. Takes nothing.

use super::{Kind, Name};
use crate::{
    Gateway,
    auth::{MayLook, MayWrite},
};
use axum::{Json, extract::State};
use process::problem::Problem;
use serde_json::{Value, json};

pub(crate) async fn limits(
    State(gateway): State<Gateway>,
    reads: Result<MayLook, Problem>,
    writes: Result<MayWrite, Problem>,
) -> Result<Json<Value>, Problem> {
    // Any scope will do.
    let caller = match (reads, writes) {
        (Ok(MayLook(caller)), _) | (_, Ok(MayWrite(caller))) => caller,
        (Err(problem), Err(_)) => return Err(problem),
    };
    let name = Name::of(&caller.organizations);
    let limiter = gateway.limiter();
    let (write, read) = tokio::join!(limiter.look(&name, Kind::Write), limiter.look(&name, Kind::Read));
    let shown = |standing: Option<super::Standing>| {
        standing.map(|standing| {
            json!({
                "perSecond": standing.limit.per_second(),
                "burst": standing.limit.burst(),
                "remaining": standing.remaining,
                "by": standing.by,
            })
        })
    };
    Ok(Json(json!({ "organization": name.as_str(), "write": shown(write), "read": shown(read) })))
}
