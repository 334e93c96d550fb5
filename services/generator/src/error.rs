//! Why nothing could be sent.

use std::{io, path::PathBuf};

/// Why a run could not begin, or could not go on for a reason that is not the pipeline's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--to` is no address of a pipeline.
    #[error("--to {given}: {reason}; give the pipeline's address, such as http://127.0.0.1:8080")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot stand in a header.
    #[error("the token has characters that no token has; copy it again, without quotes and line breaks")]
    Token,
    /// Options that do not go together.
    #[error("{0}")]
    Options(String),
    /// The HTTP client cannot be made.
    #[error(
        "the HTTP client cannot be made: {0}; for https install the system's certificates (ca-certificates)"
    )]
    Client(String),
    /// The file to replay cannot be opened.
    #[error("{input} cannot be opened: {error}; give a readable file to --replay, or `-` for standard input")]
    Input {
        /// The file.
        input: String,
        /// What the system says.
        error: io::Error,
    },
    /// The list of acknowledged events cannot be written.
    #[error("{path} cannot be written: {error}; give a writable file to --acked-file")]
    AckedFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The pipeline refuses all requests.
    #[error("{0}")]
    Refused(String),
}
