//! What every process of the product shares at its edges: telemetry, an HTTP server with limits, request bodies with
//! limits, problem details, health, metrics and the order to stop.
//!
//! Nothing here knows what the product does; a service brings an [`axum::Router`] and its own values for the limits.

pub mod body;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod server;
pub mod shutdown;
pub mod telemetry;
