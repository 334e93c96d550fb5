//! A client of the gateway, with a token for one organisation.

use crate::load::http;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// Signs the tokens that gateways of these tests take.
pub const JWT_SECRET: &str = "the JWT secret of the fault tests, 32 bytes or more";
/// Tokens are good for so long.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// One organisation's client.
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status of the answer; 0 when there was none.
    pub status: u16,
    /// The body, when it is JSON.
    pub body: Value,
    /// `Cache-Status`, empty when there is none.
    pub cache: String,
    /// Whether the answer says when to come again.
    pub retry_after: bool,
    /// Time from the request to the end of its answer.
    pub took: Duration,
}

impl Client {
    /// Reads and writes the logs of an organisation at a gateway.
    pub fn new(url: &str, organization: &str) -> Client {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": "logpipeline", "organization": organization, "scope": "logs:read logs:write",
            "iat": now.as_secs(), "exp": (now + GOOD_FOR).as_secs(),
        });
        let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("claims are JSON");
        Client { http: http(), url: url.to_owned(), token }
    }

    /// `GET` of a path of the API.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Posts events, one a line.
    pub async fn post(&self, lines: String) -> Answer {
        self.post_with(&[], lines).await
    }

    /// As [`Client::post`], with these headers.
    pub async fn post_with(&self, headers: &[(&str, &str)], lines: String) -> Answer {
        let request = self.http.post(format!("{}/api/v1/logs", self.url)).body(lines);
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let begun = Instant::now();
        let nothing =
            |took| Answer { status: 0, body: Value::Null, cache: String::new(), retry_after: false, took };
        let Ok(response) = request.bearer_auth(&self.token).send().await else {
            return nothing(begun.elapsed());
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let cache =
            headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        let body = response.bytes().await.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let retry_after = headers.contains_key("retry-after");
        Answer { status, body, cache, retry_after, took: begun.elapsed() }
    }
}
