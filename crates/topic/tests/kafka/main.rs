//! The topic on Kafka as its users see it, on the real brokers that `LOGPIPELINE_TEST_KAFKA` names:
//! `eval "$(hack/kafka.sh up)"`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod append;
mod groups;
mod reading;
mod retention;
mod security;
mod support;
mod topics;
mod viewing;
