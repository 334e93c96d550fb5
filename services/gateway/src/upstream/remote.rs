//! A service at an address: its requests keep their path, lose what concerns only one connection, and get an answer in
//! bounded time, from another address of the service when the first cannot be reached.

use super::{
    body::{Progress, Sending},
    endpoints::{Chosen, Endpoints, NoEndpoint},
    protocol::Protocol,
    try_span::TrySpan,
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri::Authority},
    response::IntoResponse,
};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use process::{
    cores::{Cores, PerCore},
    problem::Problem,
};
use resilience::Breakers;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

/// Longest wait for the head of an answer once the request is sent; somewhat longer than the producer waits for Kafka.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(35);
/// And for a request whose body does not end.
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// Addresses that one request may try.
const TRIES: usize = 3;
/// Tries beyond the first, as a share of the requests of the last ten seconds: more would make an outage worse.
const RETRY_SHARE: f32 = 0.2;
/// And so many a second in any case, for a gateway with few requests.
const RETRIES_A_SECOND: u32 = 10;
/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
];

/// All addresses of a service, and the connections to them.
pub(super) struct Remote {
    name: &'static str,
    protocol: Protocol,
    client: PerCore<Client<HttpConnector, Body>>,
    host: HeaderValue,
    endpoints: Arc<Endpoints>,
    retries: TpsBudget,
}

impl Remote {
    /// The service at `base`, which has a host.
    pub(super) fn new(
        name: &'static str,
        base: &Uri,
        protocol: Protocol,
        cores: &Cores,
        breakers: Breakers,
    ) -> Remote {
        let client = cores.each(|| protocol.client());
        let authority = base.authority().map_or("", Authority::as_str);
        let host = HeaderValue::from_str(authority).expect("an authority is ASCII without blanks");
        let name_or_address = base.host().unwrap_or("").trim_matches(['[', ']']).to_owned();
        let endpoints = Endpoints::start(name, name_or_address, base.port_u16().unwrap_or(80), breakers);
        let retries = TpsBudget::new(Duration::from_secs(10), RETRIES_A_SECOND, RETRY_SHARE);
        Remote { name, protocol, client, host, endpoints, retries }
    }

    /// Sends the request to one address after the other until it has an answer, as long as that is safe: nothing of its
    /// body was read.
    pub(super) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        HOP_BY_HOP.iter().for_each(|name| drop(head.headers.remove(name)));
        head.version = self.protocol.version();
        match self.protocol {
            Protocol::Http1 => drop(head.headers.insert(header::HOST, self.host.clone())),
            // Its place is taken by the address (RFC 9113 section 8.3.1), which another name would contradict.
            Protocol::H2c => drop(head.headers.remove(header::HOST)),
        }
        if let Some(context) = trace::current() {
            head.headers.insert(trace::TRACEPARENT, context.header());
        }
        let sending = Sending::new(body);
        self.retries.deposit();
        let mut tried = Vec::new();
        let problem = loop {
            let chosen = match self.endpoints.choose(&tried).await {
                Ok(chosen) => chosen,
                Err(none) => break self.unavailable(&none.to_string(), retry_after(&none)),
            };
            tried.push(chosen.endpoint.address);
            let mut request = Request::from_parts(head.clone(), sending.body());
            *request.uri_mut() = at(chosen.endpoint.address, request.uri());
            let span = TrySpan::begin(&mut request, chosen.endpoint.address, tried.len() - 1);
            let answer = self.try_once(chosen, request, &sending).await;
            span.end(&answer);
            let why = match answer {
                Ok(response) => return response,
                Err(why) => why,
            };
            if sending.progress() == Progress::Broken {
                break Problem::new(StatusCode::BAD_REQUEST, "the request's body broke off");
            }
            let again = tried.len() < TRIES && sending.take_back() && self.retries.withdraw();
            if !again {
                break self.unavailable(why, Duration::from_secs(1));
            }
        };
        problem.into_response()
    }

    async fn try_once(
        &self,
        Chosen { permit, under_way, .. }: Chosen,
        request: Request<Body>,
        sending: &Sending,
    ) -> Result<Response<Body>, &'static str> {
        let answer = tokio::select! {
            biased;
            answer = self.client.here().request(request) => Some(answer),
            () = overdue(sending) => None,
        };
        drop(under_way);
        match (answer, sending.progress()) {
            (Some(Ok(response)), _) => {
                // A 503 is a service that is there and has no room, or whose own dependency is out: it says so at once.
                match response.status() {
                    StatusCode::SERVICE_UNAVAILABLE => permit.succeeded(),
                    status if status.is_server_error() => permit.failed(status.as_str()),
                    _ => permit.succeeded(),
                }
                Ok(response.map(Body::new))
            }
            (_, Progress::Broken) => {
                permit.ignored();
                Err("the request's body broke off")
            }
            (Some(Err(error)), _) => {
                self.endpoints.look_again();
                tracing::debug!(%error, service = self.name, "a request failed");
                let why = what_failed(&error);
                permit.failed(why);
                Err(why)
            }
            (None, Progress::Complete) => {
                permit.failed("no answer in time");
                Err("there is no answer in time; what was sent may be stored nevertheless")
            }
            (None, _) => {
                permit.ignored();
                Err("the request's body did not end in time")
            }
        }
    }

    fn unavailable(&self, why: &str, retry_after: Duration) -> Problem {
        let detail = format!("the {} is unavailable: {why}; send the request again later", self.name);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after)
    }
}

/// Waits until the answer is late: so long after the body's end, or when the body has not ended at all. Nobody wakes it
/// at the end of the body: it looks when the first answer could be late, which hardly any request lives to see.
async fn overdue(sending: &Sending) {
    let begun = Instant::now();
    loop {
        let (now, ended) = (Instant::now(), sending.ended());
        let late = ended.map_or(begun + ENDS_WITHIN, |ended| Instant::from_std(ended) + ANSWERED_WITHIN);
        if late <= now {
            return;
        }
        tokio::time::sleep_until(late.min(now + ANSWERED_WITHIN)).await;
    }
}

fn what_failed(error: &Error) -> &'static str {
    match error.is_connect() {
        true => "nothing answers there",
        false => "the connection broke before there was an answer",
    }
}

fn retry_after(none: &NoEndpoint) -> Duration {
    match none {
        NoEndpoint::Unknown => Duration::from_secs(1),
        NoEndpoint::Broken { retry_after } => *retry_after,
    }
}

fn at(address: SocketAddr, uri: &Uri) -> Uri {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build();
    uri.expect("an address and a path are a URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_path_and_query() {
        let at = |address: &str, uri: &str| at(address.parse().unwrap(), &uri.parse().unwrap()).to_string();
        assert_eq!(at("10.0.0.7:8080", "/api/v1/logs?x=1"), "http://10.0.0.7:8080/api/v1/logs?x=1");
        assert_eq!(at("[::1]:80", "http://other/api"), "http://[::1]:80/api");
    }
}
