//! The raw limit that benchmarks compare with: the same HTTP server and body limits, and nothing behind them. It answers
//! 202 for as many events as the body has lines, and keeps none.

use axum::{Json, Router, body::Body, http::HeaderMap, routing::post};
use process::{
    body::{self, BodyError, BodyLimits},
    server::{Limits, Server},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

async fn receive(headers: HeaderMap, request: Body) -> Result<Json<Value>, BodyError> {
    let body = body::read(request, headers.get("content-encoding"), BodyLimits::default()).await?;
    let events = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    Ok(Json(json!({ "accepted": events, "rejected": [] })))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind("127.0.0.1:0".parse()?, Limits::default())?;
    println!("  page    http://{}/#token=none", server.local_addr());
    server.serve(Router::new().route("/api/v1/logs", post(receive)), CancellationToken::new()).await;
    Ok(())
}
