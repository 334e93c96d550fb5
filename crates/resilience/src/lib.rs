//! State machines that keep a fault small: pure, without IO or clock of their own. Whoever uses them brings the time
//! and the randomness.

mod backoff;

pub use backoff::Backoff;
