//! The gateway on a real Redis: `LOGPIPELINE_TEST_REDIS=$(hack/redis.sh up)`. Tests that stop or freeze one start their
//! own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod arithmetic;
#[path = "../certificates/mod.rs"]
mod certificates;
mod cluster;
mod connection;
#[path = "../door/mod.rs"]
mod door;
mod kept;
#[cfg(feature = "service")]
mod late;
mod load;
mod outages;
mod sharing;
mod slow;
mod support;
mod variants;
mod writes;
