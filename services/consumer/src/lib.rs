//! The consumer: reads the topic, stores its events exactly once, and sets aside what cannot be stored.
//!
//! [`consume`] owns the reader and hands each partition's records to a worker of its own; a worker ([`partition`])
//! collects them ([`batch`]), stores them with the partition's position in one transaction, and does what [`decide`]
//! says when the store does not take them, behind a breaker that all workers share ([`hold`]). [`retries`] tries the set-aside records again; [`traces`]
//! tells of it all.

pub mod batch;
#[cfg(feature = "service")]
pub mod config;
pub mod consume;
pub mod decide;
mod hold;
mod metrics;
mod partition;
#[cfg(feature = "service")]
pub mod relay;
mod retries;
mod status;
mod traces;
#[cfg(feature = "service")]
pub mod upkeep;

pub use consume::{Config, Consumer};
