//! Tokens at the door of a whole gateway: good, forged and broken ones, and those of an issuer whose keys change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod captured;
#[path = "../certificates/mod.rs"]
mod certificates;
#[path = "../door/mod.rs"]
mod door;
mod forged;
mod issuer;
mod outages;
mod rotation;
mod secrecy;
mod signer;
mod tls;
