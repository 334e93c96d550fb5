//! A pipeline that answers as a test tells it and remembers what it was asked.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Parser;
use generator::{Error, GenerateArgs, Summary};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// A request that came.
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) events: Vec<Value>,
}

impl Request {
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.events.iter().map(|event| event["id"].as_str().expect("events have ids")).collect()
    }
}

/// What to answer to a request.
pub(crate) enum Reply {
    Accept,
    /// A status, seconds to wait, and the body.
    Status(u16, Option<u64>, Value),
    /// 413 when there are more events.
    AtMost(usize),
}

struct Shared {
    script: Mutex<VecDeque<Reply>>,
    /// For when the script is over; without it all is accepted.
    always: Option<fn() -> Reply>,
    requests: Mutex<Vec<Request>>,
    /// A permit for each request.
    come: Semaphore,
}

/// A server that runs until the test ends.
pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Server {
    /// Answers by the script, then accepts everything.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Server {
        Server::on(listener().await, script, None)
    }

    /// Always answers so.
    pub(crate) async fn always(reply: fn() -> Reply) -> Server {
        Server::on(listener().await, [], Some(reply))
    }

    pub(crate) fn on(
        listener: TcpListener,
        script: impl IntoIterator<Item = Reply>,
        always: Option<fn() -> Reply>,
    ) -> Server {
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            always,
            requests: Mutex::default(),
            come: Semaphore::new(0),
        });
        let app = Router::new()
            .route("/api/v1/logs", post(receive))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { url, shared }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// Waits until so many requests have come.
    pub(crate) async fn came(&self, requests: u32) {
        self.shared.come.acquire_many(requests).await.expect("it is never closed").forget();
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port")
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let events = events(&headers, &body);
    let count = events.len();
    shared.requests.lock().unwrap().push(Request { at: Instant::now(), headers, events });
    shared.come.add_permits(1);
    let next = shared.script.lock().unwrap().pop_front();
    match next.or_else(|| shared.always.map(|always| always())).unwrap_or(Reply::Accept) {
        Reply::AtMost(most) if count > most => {
            (StatusCode::PAYLOAD_TOO_LARGE, Json(json!({"detail": "too many"}))).into_response()
        }
        Reply::Accept | Reply::AtMost(_) => {
            (StatusCode::ACCEPTED, Json(json!({"accepted": count, "rejected": []}))).into_response()
        }
        Reply::Status(status, retry_after, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
    }
}

fn events(headers: &HeaderMap, body: &[u8]) -> Vec<Value> {
    let mut decoded = Vec::new();
    let text = match headers.get("content-encoding").map(|value| value.as_bytes()) {
        None => body,
        Some(b"gzip") => {
            flate2::read::GzDecoder::new(body).read_to_end(&mut decoded).expect("it is gzip");
            &decoded
        }
        Some(b"zstd") => {
            decoded = zstd::decode_all(body).expect("it is zstd");
            &decoded
        }
        Some(other) => panic!("unknown encoding {other:?}"),
    };
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a line is an event")).collect()
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    generate: GenerateArgs,
}

/// Runs the generator against the server.
pub(crate) async fn generate(server: &Server, more: &[&str]) -> Summary {
    generate_until(server, more, CancellationToken::new()).await.expect("it can begin")
}

pub(crate) async fn generate_until(
    server: &Server,
    more: &[&str],
    stop: CancellationToken,
) -> Result<Summary, Error> {
    let args = ["generate", "--to", &server.url, "--token", "secret", "--quiet"];
    let cli = Cli::try_parse_from(args.iter().chain(more)).expect("the arguments are good");
    generator::run(cli.generate, stop).await
}

/// The same, but reached at another address.
pub(crate) fn at(server: &Server, url: String) -> Server {
    Server { url, shared: Arc::clone(&server.shared) }
}
