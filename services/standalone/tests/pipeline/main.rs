//! The real binary on directories of its own: killed, flooded, starved, and asked what became of everything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod broken_parts;
mod crash;
mod harness;
mod many_tails;
mod sending_and_reading;
