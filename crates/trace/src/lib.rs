//! Traces of requests: which one a request belongs to, and the spans that this process adds to it.
//!
//! A process has one tracer, as it has one log. Without one ([`otlp`] makes it) contexts are still passed on, and no span
//! is made. A request that is not sampled costs two random numbers and a header; see [`Incoming`].

mod context;
mod current;
mod exemplar;
mod incoming;
#[cfg(feature = "otlp")]
pub mod otlp;
mod queue;
mod ratio;
mod span;
mod state;

pub use context::Context;
pub use current::{Entered, current, enter};
pub use exemplar::{Exemplar, exemplar};
pub use incoming::Incoming;
pub use queue::register;
pub use ratio::{Ratio, RatioError};
pub use span::{Kind, Span, Value};

/// Header with the trace and the span that a request belongs to: <https://www.w3.org/TR/trace-context-2/#traceparent-header>.
pub const TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");
/// Header with what tracers want to know of a trace: <https://www.w3.org/TR/trace-context-2/#tracestate-header>.
pub const TRACESTATE: http::HeaderName = http::HeaderName::from_static("tracestate");
