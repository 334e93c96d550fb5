//! One fetch of the keys: within a time, within a size, from nowhere but the address.

use super::document::DocumentError;
use reqwest::{Certificate, Client, StatusCode, Url, header, redirect};
use std::{error::Error, io, time::Duration};

/// Bytes of a key set. That of a large issuer has some ten thousand.
const BODY_BYTES: usize = 256 * 1024;

/// Fetches from one address.
pub(super) struct Fetcher {
    client: Client,
    url: Url,
    deadline: Duration,
}

/// What the issuer answered.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Vec<u8>,
    /// How long it says the answer is good.
    pub(super) max_age: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("there is no answer within {0:?}")]
    TooSlow(Duration),
    #[error("the issuer cannot be reached: {0}")]
    Unreachable(String),
    #[error(
        "the issuer's certificate is not trusted; does LOGPIPELINE_JWKS_CA name a file of its authorities, and is the \
         address that of the certificate? {0}"
    )]
    Untrusted(String),
    #[error("it answers {0} instead of 200; the address has to be that of the key set itself")]
    Status(StatusCode),
    #[error("the answer has more than {BODY_BYTES} bytes; is it a key set?")]
    TooLarge,
    #[error(transparent)]
    Document(DocumentError),
}

impl FetchError {
    /// As a metric's label; one of a few.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            FetchError::TooSlow(_) => "too_slow",
            FetchError::Unreachable(_) => "unreachable",
            FetchError::Untrusted(_) => "untrusted",
            FetchError::Status(_) => "status",
            FetchError::TooLarge => "too_large",
            FetchError::Document(_) => "unreadable",
        }
    }
}

impl Fetcher {
    /// Trusts these authorities, or the system's when there are none.
    pub(super) fn new(
        url: Url,
        authorities: Option<Vec<Certificate>>,
        deadline: Duration,
    ) -> Result<Fetcher, reqwest::Error> {
        // Fails when the process has one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect could lead to keys of somebody else, or into the network.
        let mut client = Client::builder().redirect(redirect::Policy::none()).user_agent("logpipeline");
        if let Some(authorities) = authorities {
            client = client.tls_certs_only(authorities);
        }
        Ok(Fetcher { client: client.build()?, url, deadline })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let fetched = tokio::time::timeout(self.deadline, self.get()).await;
        fetched.unwrap_or(Err(FetchError::TooSlow(self.deadline)))
    }

    async fn get(&self) -> Result<Fetched, FetchError> {
        let request = self.client.get(self.url.clone()).header(header::ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let control = answer.headers().get(header::CACHE_CONTROL);
        let max_age = control.and_then(|value| max_age(value.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > BODY_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body, max_age })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreachable(error: reqwest::Error) -> FetchError {
    // The log has the address beside it.
    let error = error.without_url();
    if is_untrusted(&error) {
        FetchError::Untrusted(causes(&error))
    } else {
        FetchError::Unreachable(causes(&error))
    }
}

/// Whether a refused certificate is among the causes.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    // An error of IO passes over what it holds when it is asked for its cause.
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let refused = matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
    refused || held.is_some_and(|held| is_untrusted(held)) || error.source().is_some_and(is_untrusted)
}

/// An error with its causes, which say what is wrong.
pub(in crate::auth) fn causes(error: &dyn Error) -> String {
    let rest = error.source().map(|cause| format!(": {}", causes(cause)));
    format!("{error}{}", rest.unwrap_or_default())
}

/// `max-age` of a `Cache-Control` (RFC 9111, section 5.2.2.1).
fn max_age(control: &str) -> Option<Duration> {
    control.split(',').find_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        let seconds = name.eq_ignore_ascii_case("max-age").then(|| seconds.trim_matches('"').parse().ok())?;
        seconds.map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_found_among_the_directives() {
        let table = [
            ("max-age=60", Some(60)),
            ("public, max-age=3600, must-revalidate", Some(3600)),
            ("Max-Age=\"5\"", Some(5)),
            ("s-maxage=7", None),
            ("no-store", None),
            ("max-age=-1", None),
            ("max-age=soon", None),
            ("", None),
        ];
        for (control, seconds) in table {
            assert_eq!(max_age(control), seconds.map(Duration::from_secs), "{control}");
        }
    }
}
