//! A service behind the gateway: in this process, or at an address.

#[cfg(feature = "service")]
mod body;
#[cfg(feature = "service")]
mod endpoints;
#[cfg(feature = "service")]
mod protocol;
#[cfg(feature = "service")]
mod remote;
#[cfg(feature = "service")]
mod try_span;

#[cfg(feature = "service")]
pub use protocol::Protocol;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
#[cfg(feature = "service")]
use process::cores::Cores;
#[cfg(feature = "service")]
use resilience::Breakers;
use std::{convert::Infallible, time::Duration};
use tower::{ServiceExt, util::BoxCloneSyncService};

/// Bytes of a status answer; anything longer is none of ours.
const STATUS_BYTES: usize = 64 * 1024;

/// Takes requests for a producer or a consumer; clones share it.
#[derive(Clone)]
pub struct Upstream {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

impl Upstream {
    /// A service in this process.
    pub fn local(router: Router) -> Upstream {
        Upstream { service: BoxCloneSyncService::new(router) }
    }

    /// A service at `http://host:port`, at all addresses that the host has; each gets a breaker, called `name` and the
    /// address. Needs a runtime, which looks for the addresses.
    #[cfg(feature = "service")]
    pub fn remote(
        name: &'static str,
        base: &http::Uri,
        protocol: Protocol,
        cores: &Cores,
        breakers: &Breakers,
    ) -> Upstream {
        let remote = std::sync::Arc::new(remote::Remote::new(name, base, protocol, cores, breakers.clone()));
        let call = move |request| {
            let remote = remote.clone();
            async move { Ok(remote.call(request).await) }
        };
        Upstream { service: BoxCloneSyncService::new(tower::service_fn(call)) }
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        match self.service.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// What the service says of itself, for the overview.
    pub(crate) async fn status(&self, deadline: Duration) -> Result<serde_json::Value, String> {
        let request =
            Request::get("/internal/v1/status").body(Body::empty()).expect("a constant request is valid");
        let ask = async {
            let response = self.call(request).await;
            let status = response.status();
            let body =
                to_bytes(response.into_body(), STATUS_BYTES).await.map_err(|error| error.to_string())?;
            if status.is_success() {
                serde_json::from_slice(&body).map_err(|error| error.to_string())
            } else {
                Err(format!("answered {status}"))
            }
        };
        tokio::time::timeout(deadline, ask)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {deadline:?}")))
    }
}
