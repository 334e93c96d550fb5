//! Why a request is not let in, and how that is told (RFC 6750, section 3). No text holds a part of a token.

use super::{PIPELINE, WRITE};
use axum::http::{HeaderValue, StatusCode, header};
use process::problem::Problem;
use record::OrganizationError;
use std::time::Duration;

/// When to come back after the keys could not be had.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthError {
    #[error("the request has no token; send `Authorization: Bearer TOKEN`")]
    Missing,
    #[error("the request has {0}; send one token, in one header `Authorization: Bearer TOKEN`")]
    Several(&'static str),
    #[error("the token has more than {0} bytes")]
    TooLong(usize),
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the token is signed in a way that is not accepted here; get one made for this pipeline")]
    Algorithm,
    #[error("the token's key is not known; get a new token")]
    UnknownKey,
    #[error("the token was not signed by this pipeline or its issuer; get one made for it")]
    Signature,
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token is not valid yet; is the clock of its issuer right?")]
    Early,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token lacks the claim `{0}`, or it is not of the right kind")]
    Claim(String),
    #[error("the token's organisation cannot be used: {0}")]
    Organization(OrganizationError),
    #[error("the token is for any organisation, which this issuer may not give")]
    AnyOrganization,
    #[error("the token lacks the scope {scope}, which lets it {}", lets(scope))]
    Scope { scope: &'static str },
    #[error("the token cannot be judged now: the issuer's keys cannot be had; send the request again later")]
    NoKeys,
}

impl AuthError {
    /// The reason as a metric's label; one of a few.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            AuthError::Missing => "missing",
            AuthError::Several(_) => "several",
            AuthError::TooLong(_) => "too_long",
            AuthError::Malformed(_) => "malformed",
            AuthError::Algorithm => "algorithm",
            AuthError::UnknownKey => "unknown_key",
            AuthError::Signature => "signature",
            AuthError::Expired => "expired",
            AuthError::Early => "early",
            AuthError::Issuer => "issuer",
            AuthError::Audience => "audience",
            AuthError::Claim(_) => "claim",
            AuthError::Organization(_) => "organization",
            AuthError::AnyOrganization => "any_organization",
            AuthError::Scope { .. } => "scope",
            AuthError::NoKeys => "no_keys",
        }
    }
}

/// What a scope lets a token do.
fn lets(scope: &str) -> &'static str {
    match scope {
        WRITE => "send logs",
        PIPELINE => "see what all organisations together have written",
        _ => "read logs",
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Problem {
        let (status, challenge) = match error {
            AuthError::NoKeys => {
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).retry_after(AGAIN);
            }
            AuthError::Missing => (StatusCode::UNAUTHORIZED, "Bearer realm=\"logpipeline\""),
            AuthError::Several(_) => {
                (StatusCode::BAD_REQUEST, "Bearer realm=\"logpipeline\", error=\"invalid_request\"")
            }
            AuthError::Scope { .. } => {
                (StatusCode::FORBIDDEN, "Bearer realm=\"logpipeline\", error=\"insufficient_scope\"")
            }
            _ => (StatusCode::UNAUTHORIZED, "Bearer realm=\"logpipeline\", error=\"invalid_token\""),
        };
        Problem::new(status, error.to_string())
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}
