//! A service at an address: its requests keep their path, lose what concerns only one connection, and get an answer in
//! bounded time.

use axum::{
    body::Body,
    http::{HeaderName, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use process::problem::Problem;
use std::{convert::Infallible, time::Duration};
use tower::Service;

/// Longest wait for a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for the head of an answer; somewhat longer than the producer waits for Kafka.
const ANSWERED_WITHIN: Duration = Duration::from_secs(35);
/// A connection that is not used for so long is closed, before the other side does so in the middle of a request.
const IDLE: Duration = Duration::from_secs(60);
/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    header::HOST,
];

type HttpClient = Client<HttpConnector, Body>;

/// The service at `base`, which has scheme and authority.
pub(super) fn service(
    base: Uri,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ Sync {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECTED_WITHIN));
    connector.set_nodelay(true);
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    tower::service_fn(move |request| {
        let (client, base) = (client.clone(), base.clone());
        async move { Ok(call(&client, &base, request).await) }
    })
}

async fn call(client: &HttpClient, base: &Uri, mut request: Request<Body>) -> Response<Body> {
    *request.uri_mut() = at(base, request.uri());
    HOP_BY_HOP.iter().for_each(|name| drop(request.headers_mut().remove(name)));
    let problem = match tokio::time::timeout(ANSWERED_WITHIN, client.request(request)).await {
        Ok(Ok(answer)) => return answer.map(Body::new),
        Ok(Err(error)) if error.is_connect() => unavailable("nothing answers there"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a request to a service failed");
            unavailable("the connection broke before there was an answer")
        }
        Err(_) => unavailable("there is no answer in time"),
    };
    problem.into_response()
}

fn at(base: &Uri, uri: &Uri) -> Uri {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or_else(|_| base.clone())
}

fn unavailable(why: &str) -> Problem {
    let detail = format!("the service that takes this is unavailable: {why}; send the request again later");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_path_and_query() {
        let base = "http://producer:8080".parse().unwrap();
        let at = |path: &str| at(&base, &path.parse().unwrap()).to_string();
        assert_eq!(at("/api/v1/logs?x=1"), "http://producer:8080/api/v1/logs?x=1");
        assert_eq!(at("http://other/api"), "http://producer:8080/api");
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_a_503_with_a_time_to_come_back() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut service = service(format!("http://{free}").parse().unwrap());
        let request = Request::get("/api/v1/logs").body(Body::empty()).unwrap();
        let response = match service.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
}
