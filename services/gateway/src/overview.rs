//! `GET /api/v1/overview`: all parts of the pipeline at a glance, gathered at one time, partial when one is out. Figures
//! are of all organisations together, so only tokens with `pipeline:read` get them.

mod state;

use crate::{Gateway, auth::MayLook, ledger::join, limits::Limited, reads::ReadError};
use axum::{Json, extract::State};
use resilience::Snapshot;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a part may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) async fn overview(
    State(gateway): State<Gateway>,
    Limited(MayLook(caller), _): Limited<MayLook>,
) -> Json<Value> {
    let asked = Instant::now();
    let (offsets, rows, producer, consumer) = tokio::join!(
        within(gateway.topic().offsets()),
        within(async {
            let rows = gateway.reads().ask(gateway.store().ledger()).await?;
            Ok::<_, ReadError>((rows, asked.elapsed()))
        }),
        gateway.producer().status(DEADLINE),
        gateway.consumer().status(DEADLINE),
    );
    let partial = offsets.is_err() || rows.is_err() || producer.is_err() || consumer.is_err();
    let store = match &rows {
        Ok((rows, took)) => json!({
            "status": "ok",
            "logs": rows.iter().map(|row| row.stored - row.duplicates).sum::<i64>(),
            "deadLettered": rows.iter().map(|row| row.dead_lettered).sum::<i64>(),
            "latencyMs": took.as_secs_f64() * 1000.0,
        }),
        Err(error) => unavailable(error),
    };
    let ledger = rows.map(|(rows, _)| join(&rows, offsets.clone()));
    let topic = match (&offsets, &ledger) {
        (Ok(offsets), Ok(ledger)) => json!({
            "status": "ok",
            "partitions": offsets.len(),
            "lag": ledger.partitions.iter().filter_map(|partition| partition.lag).sum::<i64>(),
        }),
        (Ok(offsets), Err(_)) => json!({ "status": "ok", "partitions": offsets.len() }),
        (Err(error), _) => unavailable(error),
    };
    let ledger = match &ledger {
        Ok(ledger) => json!({ "status": "ok", "balanced": ledger.balanced }),
        Err(error) => unavailable(error),
    };
    let overview = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": gateway.uptime().as_secs(),
        "organization": caller.organizations.as_str(),
        "partial": partial,
        "figures": true,
        "breakers": gateway.breakers().snapshots().iter().map(breaker).collect::<Vec<_>>(),
        "parts": {
            "producer": producer.unwrap_or_else(|error| unavailable(&error)),
            "topic": topic,
            "consumer": consumer.unwrap_or_else(|error| unavailable(&error)),
            "store": store,
            "ledger": ledger,
        },
    });
    Json(if caller.sees_all { overview } else { state::only_state(&overview) })
}

fn breaker((dependency, snapshot): &(String, Snapshot)) -> Value {
    json!({ "dependency": dependency, "state": snapshot.state.name(), "because": snapshot.because })
}

fn unavailable(detail: &str) -> Value {
    json!({ "status": "unavailable", "detail": detail })
}

async fn within<T, E: std::fmt::Display>(ask: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(DEADLINE, ask).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {DEADLINE:?}")),
    }
}
