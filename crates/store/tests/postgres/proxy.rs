//! A TCP proxy before the database that breaks connections at a chosen moment.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens when the client sends these bytes, once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// They, and all that follows in either direction, are swallowed. The connection stays open.
    Swallow(&'static [u8]),
    /// They still reach the server; its answer, and all that follows, is swallowed.
    LoseAnswer(&'static [u8]),
    /// They still reach the server; then the connection breaks.
    CutAfter(&'static [u8]),
}

/// The proxy.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    armed: Mutex<Option<Fault>>,
    /// How often a fault happened.
    happened: watch::Sender<u32>,
    /// Counts cuts: connections from before the last one are broken.
    cuts: watch::Sender<u32>,
}

impl Proxy {
    /// Forwards to the server of that URL.
    pub(crate) async fn before(url: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream: address(url).to_owned(),
            armed: Mutex::default(),
            happened: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        });
        let for_clients = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, Arc::clone(&for_clients)));
            }
        });
        Proxy { port, shared }
    }

    /// The URL by way of the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(address(url), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Lets the fault happen at the next opportunity, once.
    pub(crate) fn arm(&self, fault: Fault) {
        *self.shared.armed.lock().unwrap() = Some(fault);
    }

    /// Waits until a fault has happened for the n-th time.
    pub(crate) async fn happened(&self, times: u32) {
        self.shared.happened.subscribe().wait_for(|happened| *happened >= times).await.unwrap();
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// `host:port` of a URL.
fn address(url: &str) -> &str {
    let rest = url.rsplit_once('@').expect("the URL has a user").1;
    rest.split('/').next().unwrap()
}

async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(&shared.upstream).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut cuts = shared.cuts.subscribe();
    let (swallows, swallowing) = watch::channel(false);
    let there = async {
        let mut buffer = vec![0; 256 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if *swallows.borrow() {
                continue;
            }
            let fault = strike(&shared, &buffer[..length]);
            if matches!(fault, Some(Fault::Swallow(_) | Fault::LoseAnswer(_))) {
                swallows.send_replace(true);
            }
            if !matches!(fault, Some(Fault::Swallow(_)))
                && to_server.write_all(&buffer[..length]).await.is_err()
            {
                break;
            }
            if fault.is_some() {
                shared.happened.send_modify(|happened| *happened += 1);
            }
            if matches!(fault, Some(Fault::CutAfter(_))) {
                break;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 256 << 10];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if !*swallowing.borrow() && to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    // What ends in one direction, ends; a cut ends both.
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = cuts.changed() => {}
    }
}

fn strike(shared: &Shared, bytes: &[u8]) -> Option<Fault> {
    let mut armed = shared.armed.lock().unwrap();
    let (Fault::Swallow(needle) | Fault::LoseAnswer(needle) | Fault::CutAfter(needle)) = (*armed)?;
    let found = bytes.windows(needle.len()).any(|window| window == needle);
    if found { armed.take() } else { None }
}
