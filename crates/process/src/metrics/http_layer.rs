//! Measures and traces requests: how long until the answer's head, by method, route template and status.

use std::convert::Infallible;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::response::Response;
use http::{Method, Request};
use pin_project_lite::pin_project;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower::{Layer, Service};
use trace::{Exemplar, Incoming};

use super::{LATENCY_BUCKETS, server_span};

/// The label of what has no bounded name: paths without a route, methods without a meaning here.
pub(super) const OTHER: &str = "other";
/// The status of a request whose client went away before its answer, as nginx counts it.
pub(super) const CLIENT_CLOSED: u16 = 499;

type Durations = HistogramWithExemplars<Exemplar>;

/// `http_server_request_duration_seconds{method,route,status}`, with sampled traces as exemplars.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    durations: Family<Labels, Durations, fn() -> Durations>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self { durations: Family::new_with_constructor(|| Durations::new(LATENCY_BUCKETS.into_iter())) }
    }
}

impl HttpMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_server_request_duration_seconds",
            "Time from a request's head to its answer's head, in seconds",
            self.durations.clone(),
        );
    }
}

#[derive(Clone, Debug)]
struct Labels {
    method: &'static str,
    route: Option<MatchedPath>,
    status: u16,
}

impl Labels {
    fn route(&self) -> &str {
        self.route.as_ref().map_or(OTHER, MatchedPath::as_str)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status && self.method == other.method && self.route() == other.route()
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.status.hash(state);
        self.method.hash(state);
        self.route().hash(state);
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), fmt::Error> {
        ("method", self.method).encode(encoder.encode_label())?;
        ("route", self.route()).encode(encoder.encode_label())?;
        ("status", u32::from(self.status)).encode(encoder.encode_label())
    }
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

/// Measures the requests of the routes it is laid around. Put it around the whole router with [`axum::Router::layer`],
/// after the fallbacks are set, so that 404s are counted too (as route `other`). The labels stay bounded: routes are
/// the router's templates, and a client that goes away before its answer counts as status 499.
///
/// Makes the request's trace the current one while the request is worked for; see [`trace::current`].
#[derive(Clone, Debug)]
pub struct HttpLayer {
    metrics: HttpMetrics,
}

impl HttpLayer {
    pub(super) fn new(metrics: HttpMetrics) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Measured { inner, metrics: self.metrics.clone() }
    }
}

/// A service whose requests are measured.
#[derive(Clone, Debug)]
pub struct Measured<S> {
    inner: S,
    metrics: HttpMetrics,
}

impl<S, B> Service<Request<B>> for Measured<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Measuring<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let start = Instant::now();
        let labels = Labels {
            method: known_method(request.method()),
            route: request.extensions().get().cloned(),
            status: CLIENT_CLOSED,
        };
        let trace = Incoming::accept(request.headers_mut());
        let path = trace.as_ref().and_then(|trace| server_span::path(trace, request.uri()));
        let _entered = trace::enter(trace.as_ref().map(Incoming::context));
        let observation = Observation { metrics: self.metrics.clone(), labels, start, trace, path };
        Measuring { inner: self.inner.call(request), observation }
    }
}

pin_project! {
    /// A request being measured.
    pub struct Measuring<F> {
        #[pin]
        inner: F,
        observation: Observation,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Measuring<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = trace::enter(this.observation.trace.as_ref().map(Incoming::context));
        let response = ready!(this.inner.poll(cx))?;
        this.observation.labels.status = response.status().as_u16();
        Poll::Ready(Ok(response))
    }
}

/// Recorded when dropped, so that requests that nobody waits for any more count as well.
struct Observation {
    metrics: HttpMetrics,
    labels: Labels,
    start: Instant,
    trace: Option<Incoming>,
    /// Of a request whose trace is kept.
    path: Option<Box<str>>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        let exemplar = self.trace.as_ref().and_then(|trace| Exemplar::of(trace.context()));
        self.metrics.durations.get_or_create(&self.labels).observe(seconds, exemplar, None);
        if let Some(trace) = &self.trace {
            let Labels { method, route, status } = &self.labels;
            let route = route.as_ref().map(MatchedPath::as_str);
            server_span::end(trace, self.start, method, route, self.path.take(), *status);
        }
    }
}
