//! What the consumer says of itself, for the gateway's overview.

use crate::consume::Shared;
use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /internal/v1/status`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/internal/v1/status", get(status)).with_state(shared)
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let metrics = &shared.metrics;
    let holding = metrics.holding.get() > 0;
    Json(json!({
        "status": if holding { "holding" } else { "consuming" },
        "partitions": metrics.assigned.get(),
        "stored": metrics.stored.get(),
        "deadLettered": metrics.dead_lettered.get(),
        "detail": holding.then(|| shared.gate.because()),
    }))
}
