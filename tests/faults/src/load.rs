//! Clients: each sends events of its own organisations, one after the other, until each is acknowledged.

use bytes::Bytes;
use rand::{Rng, distr::Alphanumeric};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

/// Longest wait for an answer; after it the same events are sent again.
const PATIENCE: Duration = Duration::from_secs(25);
/// Key that the producers take a gateway's requests by; the clients are their own gateway.
pub const GATEWAY_KEY: &str = "the key of the fault tests, 32 bytes or more";

/// What was acknowledged: for each organisation the ids of its events, in the order in which they were sent.
pub type Acknowledged = HashMap<String, Vec<Uuid>>;

/// Running clients.
pub struct Clients {
    orders: Arc<Orders>,
    tasks: JoinSet<Acknowledged>,
}

/// What running clients are told, and tell.
#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    hurry: AtomicBool,
    acknowledged: AtomicUsize,
}

/// How much they send.
#[derive(Debug, Clone)]
pub struct Load {
    /// Clients, each with one request at a time.
    pub clients: usize,
    /// Organisations, each of one client.
    pub organisations: usize,
    /// Events of each organisation at most; without it until they are stopped.
    pub events: Option<usize>,
    /// Wait of a client between two requests.
    pub pause: Duration,
    /// Bytes that each event has beside what is needed; they cannot be compressed.
    pub padding: usize,
}

impl Clients {
    /// Starts them; each tries the addresses in turn.
    pub fn start(load: &Load, urls: &[String]) -> Clients {
        let orders = Arc::new(Orders::default());
        let mut tasks = JoinSet::new();
        for number in 0..load.clients {
            let organisations = (number..load.organisations).step_by(load.clients);
            let client = Client {
                http: http(),
                urls: urls.to_vec(),
                at: number,
                sent: organisations.map(|n| (format!("org-{n:04}"), Vec::new())).collect(),
                padding: load.padding,
                orders: Arc::clone(&orders),
            };
            tasks.spawn(client.run(load.clone()));
        }
        Clients { orders, tasks }
    }

    /// Lets them go on until what each has sent last is acknowledged; answers what was.
    pub async fn stop(self) -> Acknowledged {
        self.orders.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Lets them send what is left without a pause.
    pub fn hurry(&self) {
        self.orders.hurry.store(true, Ordering::Relaxed);
    }

    /// Events acknowledged by now.
    pub fn acknowledged(&self) -> usize {
        self.orders.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until they have sent all.
    pub async fn finish(self) -> Acknowledged {
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    at: usize,
    sent: Acknowledged,
    padding: usize,
    orders: Arc<Orders>,
}

impl Client {
    async fn run(mut self, load: Load) -> Acknowledged {
        let names: Vec<String> = self.sent.keys().cloned().collect();
        let mut round = 0;
        while !self.orders.stop.load(Ordering::Relaxed) && load.events.is_none_or(|events| round < events) {
            // One event an organisation: what is sent again can then never pass one that was sent later.
            let mut waiting: Vec<(String, Uuid)> =
                names.iter().map(|name| (name.clone(), Uuid::now_v7())).collect();
            while !waiting.is_empty() {
                let verdict = self.post(round, &waiting).await;
                waiting = self.heed(verdict, waiting);
                if !waiting.is_empty() {
                    sleep(Duration::from_millis(200)).await;
                }
            }
            round += 1;
            if !self.orders.hurry.load(Ordering::Relaxed) {
                sleep(load.pause).await;
            }
        }
        self.sent
    }

    /// Notes what is acknowledged; answers what is not.
    fn heed(&mut self, verdict: Option<Value>, waiting: Vec<(String, Uuid)>) -> Vec<(String, Uuid)> {
        let Some(verdict) = verdict else { return waiting };
        let rejected = verdict["rejected"].as_array().cloned().unwrap_or_default();
        let refused = |index: usize| rejected.iter().any(|of| of["index"].as_u64() == Some(index as u64));
        let mut left = Vec::new();
        for (index, (name, id)) in waiting.into_iter().enumerate() {
            if refused(index) {
                left.push((name, id));
            } else if let Some(ids) = self.sent.get_mut(&name) {
                ids.push(id);
                self.orders.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
        left
    }

    /// The verdict of a request that was accepted at least in part.
    async fn post(&mut self, round: usize, events: &[(String, Uuid)]) -> Option<Value> {
        let lines = events.iter().map(|(organisation, id)| {
            json!({
                "id": id, "organizationId": organisation, "service": "load", "level": "INFO",
                "message": format!("event {round} of {organisation}{}", padding(self.padding)),
                "attributes": {"round": round},
            })
        });
        let body: String = lines.flat_map(|event| [event.to_string(), "\n".to_owned()]).collect();
        self.at += 1;
        let url = &self.urls[self.at % self.urls.len()];
        let request = self
            .http
            .post(format!("{url}/api/v1/logs"))
            .header(handoff::IDENTITY, identity())
            .body(Bytes::from(body));
        let response = request.send().await.ok()?;
        if response.status().as_u16() != 202 {
            return None;
        }
        serde_json::from_slice(&response.bytes().await.ok()?).ok()
    }
}

/// Whose a request is: it may bring events of any organisation.
pub fn identity() -> String {
    let key = handoff::Key::new(GATEWAY_KEY.as_bytes());
    key.sign(handoff::ANY, SystemTime::now() + Duration::from_secs(60))
}

fn padding(bytes: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(bytes).map(char::from).collect()
}

/// Adds what was acknowledged later.
pub fn join(mut first: Acknowledged, second: Acknowledged) -> Acknowledged {
    for (organisation, ids) in second {
        first.entry(organisation).or_default().extend(ids);
    }
    first
}

/// An HTTP client that waits as long as a patient one would.
pub fn http() -> reqwest::Client {
    http_with(PATIENCE)
}

/// An HTTP client that waits for an answer as long as that.
pub fn http_with(patience: Duration) -> reqwest::Client {
    // No https here, but the client wants a provider all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(patience).connect_timeout(Duration::from_secs(2));
    client.tls_certs_only([]).build().expect("the client needs nothing from outside")
}
