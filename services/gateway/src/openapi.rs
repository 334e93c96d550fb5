//! `GET /api/v1/openapi.json`: what the gateway answers, as an OpenAPI 3.1 document.
//!
//! The file is written by hand, since much of what it says is in no type: limits, scopes, when which status comes.
//! `tests/document` holds it against the routes, their parameters and their answers.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

/// The document as it is served.
pub const DOCUMENT: &str = include_str!("../openapi.json");

pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
