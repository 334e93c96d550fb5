//! The producer: takes events over HTTP, judges each, appends the good ones to the topic and answers when they are
//! durable there.
//!
//! One request, read top to bottom: [`api`] reads the body within limits, [`events`] splits it, [`event`] judges each
//! part, [`publish`] appends and turns what the topic says into the answer; [`sending`] is its part of the trace.

pub mod api;
#[cfg(feature = "service")]
pub mod config;
pub mod event;
pub mod events;
mod json_text;
mod metrics;
pub mod publish;
mod sending;

pub use api::{Config, Producer};
