//! Sends the spans of this process to a receiver, by OTLP: <https://opentelemetry.io/docs/specs/otlp/>.
//!
//! The exporter is opentelemetry-otlp's, the queue before it is our own: the SDK's batches are made by a thread that runs no
//! asynchronous client, and do not say how much they drop.

mod config;
mod convert;
mod export;

pub use config::{Config, Protocol};
pub use export::{Exporting, StartError, start};
