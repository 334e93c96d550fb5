//! The store on a real PostgreSQL:
//! `LOGPIPELINE_TEST_POSTGRES=$(hack/postgres.sh up) cargo test -p store --features postgres --test postgres`.
//!
//! Each test has a database of its own; those that break a server have a server of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod epochs;
mod flushing;
mod late;
mod letter_bytes;
mod letters;
mod migrating;
mod outages;
mod plans;
mod proxy;
mod reading;
mod refusals;
mod repetitions;
mod support;
mod upkeep;
