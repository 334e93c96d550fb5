//! The circuit breaker: rule by rule, against a plain model, and shared by many callers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod closed;
mod half_open;
mod machine;
mod model;
mod open;
mod shared;
mod support;
