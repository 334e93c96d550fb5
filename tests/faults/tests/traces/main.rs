//! Traces of the running system, as a receiver gets them.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
mod receiver;
mod sampling;
mod stage;
mod whole;
