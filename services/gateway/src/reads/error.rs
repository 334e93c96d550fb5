//! Why there is no answer, and how that is told.

use axum::http::StatusCode;
use process::problem::Problem;
use resilience::Refused;
use std::time::Duration;
use store::QueryError;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("the store did not answer, and is left alone for a while")]
    Open(Refused),
    /// The question cannot be answered, which shows only when the store was asked.
    #[error("{0}")]
    Question(String),
    /// The store has answered: there is no such thing.
    #[error("{0}")]
    NotFound(String),
}

/// The one place where the store's errors become HTTP.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        let retry_after = match &error {
            ReadError::Question(_) => return Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
            ReadError::NotFound(_) => return Problem::new(StatusCode::NOT_FOUND, error.to_string()),
            ReadError::Open(refused) => refused.retry_after,
            ReadError::Query(_) => Duration::from_secs(1),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; ask again later"))
            .retry_after(retry_after)
    }
}
