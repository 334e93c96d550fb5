//! Writes over HTTP, each when it is due, whatever became of those before.

use crate::door::Door;
use reqwest::{Client, StatusCode};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// One event.
const EVENT: &str = r#"{"level":"info","service":"test","message":"an event of the load"}"#;

/// A client of a gateway that listens.
pub(crate) struct Load {
    client: Client,
    url: String,
    per_second: u32,
    lasts: Duration,
}

/// What became of the writes, and how long answers took: the 99th percentile and the longest.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) accepted: u32,
    pub(crate) refused: u32,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, per_second: u32, lasts: Duration) -> Load {
        let url = format!("http://{address}/api/v1/logs");
        Load { client: Client::new(), url, per_second, lasts }
    }

    /// Writes as one organisation; panics unless each write is accepted or above the limit.
    pub(crate) async fn run(&self, door: &Door, organization: &str) -> Loaded {
        let (begun, token) = (tokio::time::Instant::now(), door.token(organization));
        let mut writes = JoinSet::new();
        for number in 0.. {
            let due = Duration::from_secs(1) * number / self.per_second;
            if due > self.lasts {
                break;
            }
            tokio::time::sleep_until(begun + due).await;
            writes.spawn(write(self.client.clone(), self.url.clone(), token.clone()));
        }
        let (mut accepted, mut refused, mut times) = (0, 0, Vec::new());
        for (status, took) in writes.join_all().await {
            match status {
                StatusCode::ACCEPTED => accepted += 1,
                StatusCode::TOO_MANY_REQUESTS => refused += 1,
                other => panic!("a write of {organization} was answered {other}"),
            }
            times.push(took);
        }
        times.sort();
        let (p99, longest) = (times[times.len() * 99 / 100], times[times.len() - 1]);
        Loaded { accepted, refused, p99, longest }
    }

    /// Writes one event.
    pub(crate) async fn write(&self, door: &Door, organization: &str) -> StatusCode {
        write(self.client.clone(), self.url.clone(), door.token(organization)).await.0
    }
}

async fn write(client: Client, url: String, token: String) -> (StatusCode, Duration) {
    let begun = Instant::now();
    let request = client.post(url).bearer_auth(token).header("content-type", "application/x-ndjson");
    let answer = request.body(EVENT).send().await.unwrap();
    let status = answer.status();
    answer.bytes().await.unwrap();
    (status, begun.elapsed())
}
