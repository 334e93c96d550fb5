//! The gateway: the only door for clients. Checks tokens, passes writes on to the producer, answers reads from the store,
//! shows what comes in live, and serves the web page.
//!
//! [`routes`] lists everything it answers; each route has a module of its name.

mod admission;
mod audit;
pub mod auth;
#[cfg(feature = "service")]
pub mod config;
mod filter;
mod forward;
#[cfg(feature = "service")]
mod health;
mod ledger;
pub mod limits;
pub mod openapi;
mod overview;
mod params;
mod reads;
pub mod redis;
mod routes;
mod search;
mod stats;
mod tail;
mod ui;
mod upstream;

pub use admission::WriteLimits;
pub use reads::{CacheConfig, Reads};
pub use routes::{Gateway, Parts};
pub use tail::TailLimits;
#[cfg(feature = "service")]
pub use upstream::Protocol;
pub use upstream::Upstream;
