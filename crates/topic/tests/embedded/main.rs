//! The embedded topic as its users see it, on real files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod append;
mod damage;
mod groups;
mod kill;
mod opening;
mod pausing;
mod reading;
mod support;
mod trimming;
