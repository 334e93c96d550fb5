//! `POST /api/v1/logs`.

use crate::{
    event::{Event, Refusal, Writes, judge},
    events::{Form, SplitError, split},
    metrics::Metrics,
    publish::{Verdict, publish},
    sending::Sending,
};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    routing::{get, post},
};
use bytes::Bytes;
use handoff::{Disbelief, Key};
use process::{
    body::{BodyBudget, BodyError, BodyLimits},
    problem::{self, Problem},
};
use prometheus_client::registry::Registry;
use record::Timestamp;
use resilience::{BreakerConfig, Breakers, SharedBreaker, Window};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use topic::Writer;

/// Header of the answer with the number of events that the request had; see [`handoff`].
pub(crate) const EVENTS: HeaderName = HeaderName::from_static(handoff::EVENTS);

/// Bodies up to this size are judged where they were read; larger ones on a thread for blocking work.
const JUDGED_INLINE_BYTES: usize = 256 * 1024;

/// Limits of a producer.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bounds of one body, in bytes and time.
    pub body: BodyLimits,
    /// Bytes of bodies held at one time, over all requests.
    pub body_budget_bytes: usize,
    /// Events a request may have.
    pub events: usize,
    /// How long the topic may take to acknowledge.
    pub ack_timeout: Duration,
    /// Name of the topic, for traces.
    pub topic: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            body: BodyLimits::default(),
            body_budget_bytes: 256 << 20,
            events: 10_000,
            ack_timeout: Duration::from_secs(30),
            topic: "logs".to_owned(),
        }
    }
}

/// A producer: its router, and what the requests share.
#[derive(Clone)]
pub struct Producer {
    config: Arc<Config>,
    gateway: Key,
    writer: Arc<dyn Writer>,
    breaker: SharedBreaker,
    budget: BodyBudget,
    metrics: Metrics,
}

impl Producer {
    /// A producer that appends to `writer`, believes who has the `gateway`'s key, and counts in `registry`.
    /// The breaker of the topic is shown among `breakers`, which needs a runtime.
    pub fn new(
        config: Config,
        gateway: Key,
        writer: Arc<dyn Writer>,
        breakers: &Breakers,
        registry: &mut Registry,
    ) -> Producer {
        let budget = BodyBudget::new(config.body_budget_bytes);
        let breaker =
            SharedBreaker::new(breaker(), rand::random::<f64>).expect("constant settings are right");
        breakers.show("topic", &breaker);
        let metrics = Metrics::register(registry);
        Producer { config: Arc::new(config), gateway, writer, breaker, budget, metrics }
    }

    /// `POST /api/v1/logs`, and `GET /internal/v1/status` for the gateway's overview.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/logs", post(receive))
            .route("/internal/v1/status", get(status))
            .fallback(problem::not_found)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(self.clone())
    }
}

/// Of the topic: who waits for brokers that do not acknowledge waits long, and holds memory meanwhile.
fn breaker() -> BreakerConfig {
    BreakerConfig {
        // Shorter than the wait for an acknowledgement: when the first ones have waited in vain, no success of before
        // counts against them.
        window: Window::Time(Duration::from_secs(10)),
        minimum_calls: 5,
        // Brokers that are loaded acknowledge late; sending less often is what the queue's limit is for.
        slow_after: Duration::MAX,
        open_wait_cap: Duration::from_secs(5),
        ..BreakerConfig::default()
    }
}

async fn receive(
    State(producer): State<Producer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Verdict, Refused> {
    let writes = writes(&headers, &producer.gateway)?;
    let form = form(&headers)?;
    let encoding = headers.get(header::CONTENT_ENCODING);
    let body = producer.budget.read(body, encoding, producer.config.body).await?;
    let limit = producer.config.events;
    let judged = if body.len() <= JUDGED_INLINE_BYTES {
        judge_all(&body, form, limit, &writes)
    } else {
        // Milliseconds of work: not on a thread that other requests wait for.
        let judging = tokio::task::spawn_blocking(move || judge_all(&body, form, limit, &writes));
        judging.await.expect("judging does not panic")
    }?;
    let deadline = producer.config.ack_timeout.min(awaited(&headers));
    let Producer { config, writer, breaker, metrics, .. } = &producer;
    let sending = Sending::begin(&config.topic);
    Ok(publish(&**writer, breaker, judged, sending, deadline, metrics).await)
}

fn judge_all(
    body: &Bytes,
    form: Form,
    limit: usize,
    writes: &Writes,
) -> Result<Vec<Result<Event, Refusal>>, SplitError> {
    let now = Timestamp::now();
    let events = split(body, form, limit)?;
    Ok(events.into_iter().map(|event| judge(body.slice_ref(event), writes, now)).collect())
}

async fn status(State(producer): State<Producer>) -> Json<serde_json::Value> {
    let ready = producer.writer.ready().await;
    Json(json!({
        "status": if ready.is_ok() { "ok" } else { "unavailable" },
        "accepted": producer.metrics.accepted.get(),
        "rejected": producer.metrics.rejected.get(),
        "detail": ready.err().map(|error| error.to_string()),
    }))
}

fn writes(headers: &HeaderMap, gateway: &Key) -> Result<Writes, Refused> {
    let value = headers.get(handoff::IDENTITY).ok_or(Refused::Unidentified)?;
    let value = value.to_str().map_err(|_| Refused::Disbelieved(Disbelief::Malformed))?;
    match gateway.verify(value, SystemTime::now()).map_err(Refused::Disbelieved)? {
        handoff::ANY => Ok(Writes::Any),
        name => name.parse().map(Writes::Only).map_err(|_| Refused::Disbelieved(Disbelief::Malformed)),
    }
}

/// How long the gateway waits for the answer.
fn awaited(headers: &HeaderMap) -> Duration {
    let value = headers.get(handoff::TIMEOUT).and_then(|value| value.to_str().ok()?.parse().ok());
    value.map_or(Duration::MAX, Duration::from_millis)
}

fn form(headers: &HeaderMap) -> Result<Form, Refused> {
    let content_type = match headers.get(header::CONTENT_TYPE) {
        None => return Ok(Form::Any),
        Some(value) => value.to_str().unwrap_or("?/?"),
    };
    Form::of_content_type(content_type).ok_or_else(|| Refused::ContentType(content_type.to_owned()))
}

/// Why a request as a whole is refused; the only place that maps these to HTTP.
#[derive(Debug)]
enum Refused {
    Unidentified,
    Disbelieved(Disbelief),
    ContentType(String),
    Body(BodyError),
    Split(SplitError),
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Refused {
        Refused::Body(error)
    }
}

impl From<SplitError> for Refused {
    fn from(error: SplitError) -> Refused {
        Refused::Split(error)
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        let problem = match self {
            Refused::Body(error) => return error.into_response(),
            Refused::Unidentified => Problem::new(
                StatusCode::UNAUTHORIZED,
                "the request names no organisation; send it through the gateway",
            ),
            Refused::Disbelieved(why) => Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("{} is not believed: {why}; send the request through the gateway", handoff::IDENTITY),
            ),
            Refused::ContentType(given) => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("Content-Type {given} is not taken; send application/json or application/x-ndjson"),
            ),
            Refused::Split(error @ SplitError::TooMany { .. }) => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            Refused::Split(error) => Problem::new(StatusCode::BAD_REQUEST, error.to_string()),
        };
        problem.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use tower::ServiceExt;

    /// Who reaches a producer past the gateway writes nothing, whatever it says of itself.
    #[tokio::test]
    async fn only_the_gateway_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let topic = topic::embedded::Topic::open(&dir.path().join("topic"), Default::default()).unwrap();
        let key = Key::new(b"the key of the gateway");
        let mut registry = Registry::default();
        let router = Producer::new(
            Config::default(),
            key.clone(),
            topic.writer(),
            &Breakers::default(),
            &mut registry,
        )
        .router();
        let now = SystemTime::now();
        let (soon, past) = (now + Duration::from_secs(10), now - Duration::from_secs(3600));
        let refused = StatusCode::UNAUTHORIZED;
        let cases = [
            (None, refused),
            (Some("acme".to_owned()), refused),
            (Some("*".to_owned()), refused),
            (Some(Key::new(b"another key").sign("acme", soon)), refused),
            (Some(key.sign("acme", soon).replace("acme", "globex")), refused),
            (Some(key.sign("acme", past)), refused),
            (Some(key.sign("no organisation", soon)), refused),
            (Some(key.sign("acme", soon)), StatusCode::ACCEPTED),
            (Some(key.sign("globex", soon)), StatusCode::FORBIDDEN),
        ];
        for (identity, expected) in cases {
            let mut request = Request::post("/api/v1/logs");
            if let Some(identity) = &identity {
                request = request.header(handoff::IDENTITY, identity);
            }
            let event = r#"{"message":"m","organizationId":"acme"}"#;
            let answer = router.clone().oneshot(request.body(Body::from(event)).unwrap()).await.unwrap();
            assert_eq!(answer.status(), expected, "{identity:?}");
        }
    }
}
