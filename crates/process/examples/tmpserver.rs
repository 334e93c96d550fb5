//! tmp
use axum::{Router, routing::{get, post}, extract::State, http::HeaderMap};
use process::{body::*, server::*, metrics::Metrics, problem::*};
#[tokio::main(worker_threads = 2)]
async fn main() {
    process::telemetry::init("X_LOG", process::telemetry::Format::Text).unwrap();
    let stop = process::shutdown::signal();
    let budget = BodyBudget::new(256 << 20);
    let mut m = Metrics::new("logpipeline");
    let s = Server::bind("127.0.0.1:18080".parse().unwrap(), Limits::default()).unwrap();
    s.register(m.root());
    let layer = m.http_layer();
    let app = Router::new().route("/", get(async || "hello"))
        .route("/len", post(async |State(b): State<BodyBudget>, h: HeaderMap, body: axum::body::Body| -> Result<String, Problem> {
            Ok(b.read(body, h.get("content-encoding"), BodyLimits::default()).await?.len().to_string())
        })).with_state(budget).merge(m.router()).fallback(not_found).layer(catch_panic()).layer(layer);
    println!("{:?}", s.limits());
    println!("{:?}", s.serve(app, stop).await);
}
