//! The producer: takes events over HTTP, judges each, appends the good ones to the topic and answers when they are
//! durable there.
//!
//! One request, read top to bottom: [`api`] reads the body within limits, [`events`] splits it, [`event`] judges each
//! part, [`publish`] appends and turns what the topic says into the answer.

pub mod api;
#[cfg(feature = "service")]
pub mod config;
pub mod event;
pub mod events;
mod json_text;
mod metrics;
pub mod publish;

pub use api::{Config, EVENTS, ORGANIZATION, Producer};
