//! The span of a request that was answered, by the conventions for HTTP:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span>.

use super::http_layer::{CLIENT_CLOSED, OTHER};
use http::Uri;
use std::time::Instant;
use trace::Incoming;

/// What a method is called that has no meaning here.
const OTHER_METHOD: &str = "_OTHER";

/// The path of a request whose trace is kept. Its query is not: people search for what is nobody's business.
pub(super) fn path(trace: &Incoming, uri: &Uri) -> Option<Box<str>> {
    trace.context().is_sampled().then(|| uri.path().into())
}

/// Ends the span, which is kept when the trace is, or when the server failed.
pub(super) fn end(
    trace: &Incoming,
    since: Instant,
    method: &'static str,
    route: Option<&str>,
    path: Option<Box<str>>,
    status: u16,
) {
    let failed = status >= 500;
    let Some(span) = trace.end(since, failed) else { return };
    let method = if method == OTHER { OTHER_METHOD } else { method };
    let name = if method == OTHER_METHOD { "HTTP" } else { method };
    let mut span = match route {
        Some(route) => span.named(format!("{name} {route}")),
        None => span.named(name),
    };
    span.set("http.request.method", method);
    span.set("url.scheme", "http");
    if let Some(route) = route {
        span.set("http.route", route.to_owned());
    }
    if let Some(path) = path {
        span.set("url.path", String::from(path));
    }
    if status == CLIENT_CLOSED {
        // Nothing was answered. It is nobody's failure that the client went away.
        span.set("error.type", "client_closed");
        return;
    }
    span.set("http.response.status_code", i64::from(status));
    if failed {
        span.fail(status.to_string());
    }
}
