//! Sends logs to a pipeline: made up at a steady rate, or replayed from a file.
//!
//! [`run()`] is `logpipeline generate`, [`demo`] the gentle stream of a new pipeline. A [`Source`](source::Source) says
//! which batch is due when; workers take batches from it and deliver each ([`deliver`]) until every event has its
//! verdict or its time is over.

mod acked;
mod answer;
mod batch;
mod cli;
mod client;
mod deliver;
mod error;
mod halt;
mod ids;
mod pace;
mod pause;
mod plan;
mod progress;
mod recognise;
mod replay;
mod rng;
mod run;
mod source;
mod stats;
mod summary;
mod synth;

pub use cli::GenerateArgs;
pub use error::Error;
pub use run::{demo, run};
pub use summary::Summary;
