//! What can be wrong with a request body, and the answer for it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_ENCODING, CONNECTION};
use http::{HeaderValue, StatusCode};

use crate::problem::Problem;

/// Content codings that [`super::read`] decodes, as `Accept-Encoding` names them.
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, zstd, identity");
/// How much of an unknown coding's name an answer repeats, in characters.
const SHOWN_CODING: usize = 60;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes on the wire than allowed: 413.
    #[error("the body is over {limit} bytes as sent; send it in smaller parts")]
    TooLarge {
        /// Most bytes on the wire.
        limit: usize,
    },
    /// More bytes than allowed after decoding: 413.
    #[error("the body is over {limit} bytes after decoding; send it in smaller parts")]
    DecodedTooLarge {
        /// Most bytes after decoding.
        limit: usize,
    },
    /// A content coding that is not known: 415 with `Accept-Encoding` (RFC 9110 section 15.5.16).
    #[error("Content-Encoding {coding:?} is not supported; use gzip, zstd or none")]
    UnsupportedEncoding {
        /// The coding as the request names it.
        coding: String,
    },
    /// The body came too slowly: 408 (RFC 9110 section 15.5.9).
    #[error("the body came too slowly; send it again, faster or in smaller parts")]
    TooSlow,
    /// The body is not what its content coding says: damaged, cut short, or followed by something else: 400.
    #[error("the body is not valid {coding}: {reason}")]
    Corrupt {
        /// The content coding.
        coding: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The transfer broke off or its chunked coding is damaged: 400.
    #[error("the body could not be received: {reason}")]
    Broken {
        /// What the connection said.
        reason: String,
    },
    /// The process holds as many bytes of bodies as it may: 503 with `Retry-After`.
    #[error("the server is reading as many bytes as it can hold; send the body again in a moment")]
    Busy,
}

impl BodyError {
    pub(super) fn broken(error: axum::Error) -> Self {
        let inner = error.into_inner();
        let reason = inner.source().map_or_else(|| inner.to_string(), ToString::to_string);
        Self::Broken { reason }
    }

    pub(super) fn unsupported(coding: &HeaderValue) -> Self {
        let name = String::from_utf8_lossy(coding.as_bytes());
        Self::UnsupportedEncoding { coding: name.chars().take(SHOWN_CODING).collect() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } | Self::DecodedTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedEncoding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Corrupt { .. } | Self::Broken { .. } => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        // The rest of the body is unread, so the connection cannot carry another request (RFC 9112 section 9.3).
        let problem = Problem::new(error.status(), error.to_string())
            .header(CONNECTION, HeaderValue::from_static("close"));
        match error {
            BodyError::TooLarge { limit } | BodyError::DecodedTooLarge { limit } => {
                problem.with("limit", limit)
            }
            BodyError::UnsupportedEncoding { .. } => problem.header(ACCEPT_ENCODING, ACCEPTED),
            BodyError::Busy => problem.retry_after(Duration::from_secs(1)),
            BodyError::TooSlow | BodyError::Corrupt { .. } | BodyError::Broken { .. } => problem,
        }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
