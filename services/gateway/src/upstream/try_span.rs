//! The span of one try to send a request, by the conventions for HTTP:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span>.

use axum::{
    body::Body,
    http::{Request, Response},
};
use std::net::SocketAddr;
use trace::{Kind, Span};

/// A try of a request whose trace is sampled.
pub(super) struct TrySpan(Option<Span>);

impl TrySpan {
    /// Begins it, as the one that the request tells who answers. So many tries of the request were before.
    pub(super) fn begin(request: &mut Request<Body>, to: SocketAddr, before: usize) -> TrySpan {
        let Some(span) = trace::current().and_then(|current| Span::within(current, Kind::Client)) else {
            return TrySpan(None);
        };
        let mut span = span.named(request.method().to_string());
        request.headers_mut().insert(trace::TRACEPARENT, span.context().header());
        span.set("http.request.method", request.method().to_string());
        span.set("url.full", format!("http://{to}{}", request.uri().path()));
        span.set("server.address", to.ip().to_string());
        span.set("server.port", i64::from(to.port()));
        if before > 0 {
            span.set("http.request.resend_count", before);
        }
        TrySpan(Some(span))
    }

    /// What came of it.
    pub(super) fn end(self, answer: &Result<Response<Body>, &'static str>) {
        let Some(mut span) = self.0 else { return };
        match answer {
            Ok(answer) => {
                let status = answer.status();
                span.set("http.response.status_code", i64::from(status.as_u16()));
                if status.is_client_error() || status.is_server_error() {
                    span.fail(status.as_str().to_owned());
                }
            }
            Err(why) => span.fail(*why),
        }
    }
}
