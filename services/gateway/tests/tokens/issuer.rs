//! An issuer on loopback that publishes keys, and that can go away, be slow, and answer anything.

use crate::{
    door::Door,
    signer::{Signer, with},
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Response, StatusCode, header},
    routing::get,
};
use bytes::Bytes;
use futures::StreamExt;
use gateway::auth::{Config, JwksConfig, Keys};
use serde_json::json;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Secret that the tests' gateways share with nobody.
pub(crate) const SECRET: &[u8] = b"a-secret-of-the-tests-with-32-bytes-or-more";

/// What the issuer answers.
#[derive(Clone)]
pub(crate) enum Says {
    Text(StatusCode, String),
    /// To another address.
    Elsewhere(String),
    /// No answer, ever.
    Nothing,
    /// So many bytes, as fast as they are taken.
    Bytes(usize),
}

#[derive(Clone)]
struct Shared {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    shared: Shared,
    server: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A key set as text.
pub(crate) fn set(signers: &[&Signer]) -> Says {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    Says::Text(StatusCode::OK, json!({ "keys": keys }).to_string())
}

impl Issuer {
    pub(crate) async fn new(says: Says) -> Issuer {
        let says = Arc::new(Mutex::new(says));
        let shared = Shared { says, asked: Arc::default(), sent: Arc::default() };
        Issuer::listen("127.0.0.1:0".parse().unwrap(), shared).await
    }

    async fn listen(address: SocketAddr, shared: Shared) -> Issuer {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/keys", get(answer)).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Issuer { address, shared, server }
    }

    pub(crate) fn say(&self, says: Says) {
        *self.shared.says.lock().unwrap() = says;
    }

    /// Requests that have come.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Bytes of [`Says::Bytes`] that were taken.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// The port is closed from now on.
    pub(crate) async fn go(self) -> Gone {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
        Gone { address: self.address, shared: self.shared.clone() }
    }

    /// Believes this issuer and [`SECRET`], and never waits long.
    pub(crate) fn config(&self) -> Config {
        let url = format!("http://{}/keys", self.address).parse().unwrap();
        let jwks = JwksConfig { deadline: Duration::from_millis(500), ..JwksConfig::new(url) };
        Config { secret: Some(SECRET.to_vec()), jwks: Some(jwks), ..Config::default() }
    }

    /// A gateway that believes this issuer, configured further.
    pub(crate) fn door(&self, change: impl FnOnce(&mut Config)) -> Door {
        let mut config = self.config();
        change(&mut config);
        Door::open(|registry, stop| Keys::open(config, registry, stop).unwrap())
    }
}

/// An issuer that has gone.
pub(crate) struct Gone {
    address: SocketAddr,
    shared: Shared,
}

impl Gone {
    pub(crate) async fn come_back(self) -> Issuer {
        Issuer::listen(self.address, self.shared).await
    }
}

async fn answer(State(shared): State<Shared>) -> Response<Body> {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let says = shared.says.lock().unwrap().clone();
    // Each fetch has a connection of its own, so that an issuer that goes is gone.
    let builder = Response::builder().header(header::CONNECTION, "close");
    match says {
        Says::Text(status, text) => builder.status(status).body(text.into()).unwrap(),
        Says::Elsewhere(url) => {
            builder.status(302).header(header::LOCATION, url).body(Body::empty()).unwrap()
        }
        Says::Nothing => std::future::pending().await,
        Says::Bytes(count) => {
            let chunk = Bytes::from(vec![b' '; 64 * 1024]);
            let chunks = futures::stream::iter(0..count / chunk.len()).map(move |_| {
                shared.sent.fetch_add(chunk.len(), Ordering::SeqCst);
                Ok::<_, Infallible>(chunk.clone())
            });
            builder.body(Body::from_stream(chunks)).unwrap()
        }
    }
}

/// Claims of a good token, of an issuer that may name any organisation.
pub(crate) fn any_organization(signer: &Signer) -> String {
    signer.sign(&with("organization", json!("*")))
}
