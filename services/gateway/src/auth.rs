//! Who asks: bearer tokens (RFC 6750) that are signed JWTs (RFC 7519), judged as RFC 8725 advises.
//!
//! A request passes `token` (the header), `keys` (which key may judge it), `verifier` (signature, issuer, audience and
//! times) and `claims` (whose it is and what it may). A token's own words choose among the keys that are known for its
//! algorithm, nothing else: it names no address and brings no key.

mod caller;
mod claims;
mod config;
mod error;
mod jwks;
mod keys;
mod metrics;
mod token;
mod verified;
mod verifier;

pub use caller::Organizations;
pub use claims::Names;
pub use config::{Config, JwksConfig};
pub use keys::{Keys, OpenError};

pub(crate) use caller::{Caller, MayLook, MayRead, MaySeeAll, MayWrite};

/// `iss` of tokens, unless another is set.
pub const ISSUER: &str = "logpipeline";
/// Scope that lets a token send logs.
pub const WRITE: &str = "logs:write";
/// Scope that lets a token read logs.
pub const READ: &str = "logs:read";
/// Scope that lets a token see what all organisations together have written. Tokens that read any organisation hold it
/// by themselves: they could add it up.
pub const PIPELINE: &str = "pipeline:read";
