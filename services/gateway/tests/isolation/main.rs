//! Attempts of one organisation to read, write or disturb what belongs to another, on a whole gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../door/mod.rs"]
mod door;
mod figures;
mod neighbours;
mod reading;
mod watching;
mod writing;
