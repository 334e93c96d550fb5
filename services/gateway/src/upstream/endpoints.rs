//! Where a service is: all addresses of its name, asked for again and again, each with its load and its breaker.
//!
//! A headless Service of Kubernetes has an address a pod. A client that keeps its connections would stay with the pods
//! it met first; so every request chooses: of two addresses at random the one with fewer requests under way (Mitzenmacher,
//! "The Power of Two Choices in Randomized Load Balancing"), and none whose breaker is open.

use rand::seq::SliceRandom;
use resilience::{BreakerConfig, Breakers, PermitGuard, SharedBreaker, Window};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

/// The name is asked for again after so long; pods come and go.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// And no sooner than this, however often a connection fails.
const LOOK_AGAIN_SOONEST: Duration = Duration::from_millis(500);
/// The first requests wait so long for the first answer.
const FOUND_WITHIN: Duration = Duration::from_secs(1);

/// One address.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    breaker: SharedBreaker,
    under_way: AtomicUsize,
}

/// Leave for one request to an endpoint.
pub(super) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) permit: PermitGuard,
    pub(super) under_way: UnderWay,
}

/// A request counts as under way until this is dropped.
pub(super) struct UnderWay(Arc<Endpoint>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No endpoint takes a request now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoEndpoint {
    #[error("its name has no address")]
    Unknown,
    #[error("it did not answer, and is left alone for a while")]
    Broken {
        /// Until the first breaker lets a call through.
        retry_after: Duration,
    },
}

type Known = Option<Arc<[Arc<Endpoint>]>>;

/// All addresses of a service.
pub(super) struct Endpoints {
    known: watch::Sender<Known>,
    look: Notify,
}

impl Endpoints {
    /// Begins to look for `host`, and does so until all who hold the endpoints are gone.
    pub(super) fn start(
        dependency: &'static str,
        host: String,
        port: u16,
        breakers: Breakers,
    ) -> Arc<Endpoints> {
        let endpoints = Arc::new(Endpoints { known: watch::Sender::new(None), look: Notify::new() });
        tokio::spawn(look(Arc::downgrade(&endpoints), Names { dependency, host, port, breakers }));
        endpoints
    }

    /// Chooses one that was not `tried`.
    pub(super) async fn choose(&self, tried: &[SocketAddr]) -> Result<Chosen, NoEndpoint> {
        if let Some(endpoints) = &*self.known.borrow() {
            return choose(endpoints, tried);
        }
        let mut known = self.known.subscribe();
        let found = timeout(FOUND_WITHIN, known.wait_for(Option::is_some)).await;
        let endpoints = found.ok().and_then(|found| found.ok()?.clone()).ok_or(NoEndpoint::Unknown)?;
        choose(&endpoints, tried)
    }

    /// A connection failed: its pod may be gone, and another be there.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }
}

fn choose(endpoints: &[Arc<Endpoint>], tried: &[SocketAddr]) -> Result<Chosen, NoEndpoint> {
    let mut left: Vec<&Arc<Endpoint>> =
        endpoints.iter().filter(|endpoint| !tried.contains(&endpoint.address)).collect();
    left.shuffle(&mut rand::rng());
    let load = |endpoint: &Endpoint| endpoint.under_way.load(Ordering::Relaxed);
    if let [first, second, ..] = left[..]
        && load(first) > load(second)
    {
        left.swap(0, 1);
    }
    let mut soonest = None;
    for endpoint in left {
        match endpoint.breaker.acquire() {
            Ok(permit) => {
                endpoint.under_way.fetch_add(1, Ordering::Relaxed);
                let under_way = UnderWay(endpoint.clone());
                return Ok(Chosen { endpoint: endpoint.clone(), permit, under_way });
            }
            Err(refused) => soonest = Some(refused.retry_after.min(soonest.unwrap_or(Duration::MAX))),
        }
    }
    Err(soonest.map_or(NoEndpoint::Unknown, |retry_after| NoEndpoint::Broken { retry_after }))
}

/// What is looked for.
struct Names {
    dependency: &'static str,
    host: String,
    port: u16,
    breakers: Breakers,
}

impl Names {
    fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        let breaker =
            SharedBreaker::new(breaker(), rand::random::<f64>).expect("constant settings are right");
        self.breakers.show(self.shown(address), &breaker);
        Arc::new(Endpoint { address, breaker, under_way: AtomicUsize::new(0) })
    }

    fn shown(&self, address: SocketAddr) -> String {
        format!("{} {address}", self.dependency)
    }

    /// Those of before that are still there, with their breakers, and the new ones.
    fn renew(&self, before: &Known, addresses: &BTreeSet<SocketAddr>) -> Arc<[Arc<Endpoint>]> {
        let before = before.as_deref().unwrap_or(&[]);
        for gone in before.iter().filter(|endpoint| !addresses.contains(&endpoint.address)) {
            self.breakers.forget(&self.shown(gone.address));
        }
        let known = |address| before.iter().find(|endpoint| endpoint.address == address).cloned();
        addresses.iter().map(|address| known(*address).unwrap_or_else(|| self.endpoint(*address))).collect()
    }
}

/// Requests that fail are few in number when a pod has died, and many are under way when it hangs.
fn breaker() -> BreakerConfig {
    BreakerConfig {
        window: Window::Count(20),
        minimum_calls: 5,
        // How long an upload takes is the client's matter; an answer that does not come in time is a failure.
        slow_after: Duration::MAX,
        open_wait_cap: Duration::from_secs(15),
        ..BreakerConfig::default()
    }
}

async fn look(endpoints: Weak<Endpoints>, names: Names) {
    loop {
        let found = tokio::net::lookup_host((names.host.as_str(), names.port)).await;
        let Some(endpoints) = endpoints.upgrade() else { return };
        match found.map(|addresses| addresses.collect::<BTreeSet<_>>()) {
            // A name server that knows nothing for a moment: those of before may well be there.
            Ok(addresses) if addresses.is_empty() => {}
            Ok(addresses) => {
                let same = |known: &Known| {
                    known
                        .as_ref()
                        .is_some_and(|known| known.iter().map(|of| of.address).eq(addresses.iter().copied()))
                };
                if !same(&endpoints.known.borrow()) {
                    tracing::info!(service = names.dependency, ?addresses, "addresses");
                    let renewed = names.renew(&endpoints.known.borrow(), &addresses);
                    endpoints.known.send_replace(Some(renewed));
                }
            }
            Err(error) => tracing::debug!(%error, host = names.host, "the name cannot be resolved"),
        }
        let again = endpoints.look.notified();
        let waited = async {
            sleep(LOOK_AGAIN_SOONEST).await;
            timeout(LOOK_AGAIN, again).await
        };
        waited.await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
        let names =
            Names { dependency: "producer", host: String::new(), port: 0, breakers: Breakers::default() };
        (1..=count).map(|port| names.endpoint(SocketAddr::from(([127, 0, 0, 1], port)))).collect()
    }

    #[tokio::test]
    async fn requests_spread_over_all_addresses_by_their_load() {
        let endpoints = endpoints(4);
        let chosen: Vec<Chosen> = (0..400).map(|_| choose(&endpoints, &[]).unwrap()).collect();
        for endpoint in &endpoints {
            let load = endpoint.under_way.load(Ordering::Relaxed);
            assert!((90..=110).contains(&load), "{load} of 400 requests at one of four addresses");
        }
        drop(chosen);
        assert!(endpoints.iter().all(|endpoint| endpoint.under_way.load(Ordering::Relaxed) == 0));
    }

    #[tokio::test]
    async fn what_was_tried_or_is_broken_is_not_chosen() {
        let endpoints = endpoints(3);
        endpoints[0].breaker.force_open();
        let tried = [endpoints[1].address];
        for _ in 0..20 {
            assert_eq!(choose(&endpoints, &tried).ok().unwrap().endpoint.address, endpoints[2].address);
        }
        endpoints[2].breaker.force_open();
        assert!(matches!(choose(&endpoints, &tried).err(), Some(NoEndpoint::Broken { .. })));
        let all: Vec<SocketAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        assert_eq!(choose(&endpoints, &all).err(), Some(NoEndpoint::Unknown));
    }

    #[tokio::test]
    async fn an_address_that_stays_keeps_its_breaker() {
        let breakers = Breakers::default();
        let names =
            Names { dependency: "producer", host: String::new(), port: 0, breakers: breakers.clone() };
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let first = names.renew(&None, &[address(1), address(2)].into());
        let second = names.renew(&Some(first.clone()), &[address(2), address(3)].into());
        assert!(Arc::ptr_eq(&first[1], &second[0]) && second[1].address == address(3));
        let shown: Vec<String> = breakers.snapshots().into_iter().map(|(name, _)| name).collect();
        assert_eq!(shown, ["producer 127.0.0.1:2", "producer 127.0.0.1:3"]);
    }
}
