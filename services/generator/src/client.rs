//! One request to the pipeline.

use crate::{
    Error,
    answer::{Answer, classify, shown},
    cli::Compression,
};
use bytes::Bytes;
use reqwest::{
    ClientBuilder, Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};
use std::{io::Write, time::Duration};

/// Where events go.
const PATH: &str = "/api/v1/logs";
/// How long an answer may take, and a connection.
const ANSWER: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Unused connections are closed before the pipeline closes them (after 75 s): a request on a connection that is just
/// being closed would fail.
const IDLE: Duration = Duration::from_secs(60);

/// Sends bodies of events.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    compression: Compression,
}

impl Client {
    /// # Errors
    /// When the address or the token is none, or the system has no certificates for https.
    pub(crate) fn new(to: &str, token: &str, compression: Compression) -> Result<Client, Error> {
        let url = events_url(to)?;
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))]);
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| Error::Token)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        match compression {
            Compression::None => None,
            Compression::Gzip => headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip")),
            Compression::Zstd => headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd")),
        };
        let http = builder(&url).build().map_err(|error| Error::Client(root(&error)))?;
        Ok(Client { http, url, headers, compression })
    }

    /// The body as it travels.
    pub(crate) fn encode(&self, body: &[u8]) -> Bytes {
        let encoded = match self.compression {
            Compression::None => return Bytes::copy_from_slice(body),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Compression::Zstd => zstd::encode_all(body, 1),
        };
        encoded.expect("memory takes all writes").into()
    }

    /// Sends a body of so many events once.
    pub(crate) async fn post(&self, body: Bytes, events: usize) -> Answer {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Answer::Broken(self.explain(&error)),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        match response.bytes().await {
            Ok(body) => {
                let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
                classify(status, retry_after, &body, events)
            }
            Err(error) => Answer::Broken(self.explain(&error)),
        }
    }

    fn explain(&self, error: &reqwest::Error) -> String {
        let server = self.url.authority();
        if error.is_connect() {
            format!("{server} cannot be reached: {}", root(error))
        } else if error.is_timeout() {
            format!("{server} gave no answer within {} s", ANSWER.as_secs())
        } else {
            format!("the connection to {server} broke: {}", root(error))
        }
    }
}

fn builder(url: &Url) -> ClientBuilder {
    // Fails when there is one already, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .timeout(ANSWER)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("logpipeline-generator/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "http" {
        // Without https no certificates are needed, and a slim container has none.
        builder = builder.tls_certs_only([]);
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if loopback { builder.no_proxy() } else { builder }
}

/// The address of the API, from the pipeline's address or that of its page.
fn events_url(to: &str) -> Result<Url, Error> {
    let wrong = |reason: &str| Error::Url { given: shown(to), reason: reason.to_owned() };
    if !to.starts_with("http://") && !to.starts_with("https://") {
        return Err(wrong("it begins with neither http:// nor https://"));
    }
    let mut url = Url::parse(to).map_err(|error| wrong(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user or a password, and pipelines know only tokens"));
    }
    let base = url.path().trim_end_matches('/').trim_end_matches(PATH).to_owned();
    url.set_path(&format!("{base}{PATH}"));
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// What lies at the bottom of an error: the words around it say nothing to a person.
fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    shown(&root.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_the_api() {
        for (to, url) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1/logs"),
            ("https://logs.example/", "https://logs.example/api/v1/logs"),
            ("http://[::1]:1/#token=x", "http://[::1]:1/api/v1/logs"),
            ("http://a/under/", "http://a/under/api/v1/logs"),
            ("http://a/api/v1/logs", "http://a/api/v1/logs"),
        ] {
            assert_eq!(events_url(to).unwrap().as_str(), url);
        }
        for wrong in ["", "127.0.0.1:8080", "localhost:8080", "ftp://a", "http://", "http://u:p@a"] {
            assert!(matches!(events_url(wrong), Err(Error::Url { .. })), "{wrong}");
        }
    }

    #[test]
    fn clients_for_both_schemes_can_be_made_and_tokens_are_checked() {
        assert!(Client::new("http://127.0.0.1:1", "t", Compression::None).is_ok());
        assert!(matches!(Client::new("http://a", "a\nb", Compression::None), Err(Error::Token)));
    }
}
