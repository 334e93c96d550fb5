//! Clients that send as much as producers take: bodies of many events, each sent again until it is acknowledged.
//!
//! Ids are numbered instead of remembered, so that any number of events can be accounted for: of each organisation
//! exactly the first so many are acknowledged.

use crate::load::{http_with, identity};
use bytes::Bytes;
use rand::{Rng, distr::Alphanumeric};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Events of a body.
const EVENTS: u64 = 500;
/// Longest wait for an answer: so long that an answer that comes late is seen, and how late.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events of each organisation that were acknowledged: the first so many.
pub type Acknowledged = BTreeMap<String, u64>;

/// What a producer said to a body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// When the body was sent.
    pub sent: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// Status; 0 when none came.
    pub status: u16,
    /// Whether it has `Retry-After`.
    pub retry_after: bool,
    /// The beginning of its text.
    pub text: String,
}

impl Answer {
    /// Whether it says that the producer has no room for the events.
    pub fn is_queue_full(&self) -> bool {
        self.status == 503 && self.text.contains("queue in front of the topic is full")
    }
}

/// How clients send.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Bytes of each event's message.
    pub message_bytes: usize,
    /// Time between the first bodies of two clients.
    pub stagger: Duration,
    /// Wait after an answer other than 202.
    pub again: Duration,
}

/// Running clients.
pub struct Flood {
    shared: Arc<Shared>,
    tasks: JoinSet<(String, u64)>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    bytes: AtomicU64,
    /// Answers other than 202.
    refusals: Mutex<Vec<Answer>>,
}

impl Flood {
    /// Starts clients, each with a number and an organisation of its own.
    pub fn start(clients: std::ops::Range<u64>, manner: Manner, urls: &[String]) -> Flood {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for (number, place) in clients.zip(0..) {
            let client = Client {
                http: http_with(PATIENCE),
                urls: urls.to_vec(),
                number,
                message: rand::rng()
                    .sample_iter(Alphanumeric)
                    .take(manner.message_bytes)
                    .map(char::from)
                    .collect(),
                begin_after: manner.stagger * place,
                again: manner.again,
                shared: Arc::clone(&shared),
            };
            tasks.spawn(client.run());
        }
        Flood { shared, tasks }
    }

    /// Events acknowledged by now.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Bytes of bodies acknowledged by now.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Answers other than 202 to bodies sent since then.
    pub fn refusals(&self, since: Instant) -> Vec<Answer> {
        let refusals = self.shared.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.iter().filter(|answer| answer.sent >= since).cloned().collect()
    }

    /// Lets each have its last body acknowledged.
    pub async fn stop(self) -> Acknowledged {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().collect()
    }
}

struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    number: u64,
    message: String,
    begin_after: Duration,
    again: Duration,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(self) -> (String, u64) {
        sleep(self.begin_after).await;
        let mut first = 0;
        let mut tries = self.number;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let body = Bytes::from(self.body(first));
            loop {
                tries += 1;
                let url = &self.urls[usize::try_from(tries).unwrap_or(0) % self.urls.len()];
                let answer = self.post(url, body.clone()).await;
                // Of a body that is accepted in part, the rest is sent again with it: ids tell what is there.
                if answer.status == 202 && answer.text.contains("\"rejected\":[]") {
                    break;
                }
                self.shared.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                sleep(self.again).await;
            }
            first += EVENTS;
            self.shared.acknowledged.fetch_add(EVENTS, Ordering::Relaxed);
            self.shared.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
        (self.organisation(), first)
    }

    fn organisation(&self) -> String {
        format!("flood-{:04}", self.number)
    }

    /// The events from `first` on. The last twelve digits of an id are the event's number.
    fn body(&self, first: u64) -> String {
        let (organisation, message) = (self.organisation(), &self.message);
        let mut body = String::with_capacity((200 + message.len()) * 500);
        for number in first..first + EVENTS {
            let id = uuid::Uuid::from_u128(u128::from(self.number) << 64 | u128::from(number));
            let line = writeln!(
                body,
                r#"{{"id":"{id}","organizationId":"{organisation}","service":"flood","message":"event {number} {message}"}}"#
            );
            line.expect("a text takes all");
        }
        body
    }

    async fn post(&self, url: &str, body: Bytes) -> Answer {
        let sent = Instant::now();
        let request =
            self.http.post(format!("{url}/api/v1/logs")).header(handoff::IDENTITY, identity()).body(body);
        let answer =
            |status, retry_after, text| Answer { sent, took: sent.elapsed(), status, retry_after, text };
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after = response.headers().contains_key("retry-after");
                let mut text = response.text().await.unwrap_or_default();
                text.truncate(text.floor_char_boundary(300));
                answer(status, retry_after, text)
            }
            Err(error) => answer(0, false, format!("{error:?}")),
        }
    }
}
