//! What must hold on real parts, each time things break. One after the other: they share the machine.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod gateway;
mod letters;
mod memory;
mod network;
mod retention;
mod scenario;
mod support;
mod transactions;
mod truncation;
