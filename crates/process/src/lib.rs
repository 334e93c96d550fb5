//! What every process of the product shares at its edges: telemetry, an HTTP server with limits, request bodies with
//! limits, problem details, health, metrics, the order to stop, and the frame of a service around all of them.
//!
//! Nothing here knows what the product does; a service brings an [`axum::Router`] and its own values for the limits.

pub mod body;
pub mod cores;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod server;
pub mod service;
pub mod shutdown;
pub mod telemetry;

/// For Rust and for the C libraries alike: threads free here what others have allocated (a record goes from a request to
/// librdkafka's thread), where the system's allocator takes locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
