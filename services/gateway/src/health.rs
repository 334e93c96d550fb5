//! What stands behind the gateway, for `/readyz?verbose`. Nothing of it takes a gateway out of rotation: without the store
//! it takes writes, without producers it answers reads, without Redis both; and its own 503 says more than a Service
//! without endpoints.

use crate::{Gateway, Upstream, redis::Redis};
use process::health::{Dependency, Readiness};
use std::time::Duration;
use store::Query;

/// How long a service may take: a producer asks Kafka first, and says what came of it.
const SERVICE_WITHIN: Duration = Duration::from_secs(5);
/// How long Redis may take.
const REDIS_WITHIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// Adds what it uses to what `readiness` shows.
    #[must_use]
    pub fn show_dependencies(&self, readiness: Readiness, redis: Option<Redis>) -> Readiness {
        let readiness = readiness
            .with(self.kafka().only_shown())
            .with(self.postgres().only_shown())
            .with(self.service("producers", "producer", Gateway::producer).only_shown())
            .with(self.service("consumers", "consumer", Gateway::consumer).only_shown());
        match redis {
            Some(redis) => readiness.with(self.redis(redis).only_shown()),
            None => readiness,
        }
    }

    fn kafka(&self) -> Dependency {
        let gateway = self.clone();
        Dependency::new("kafka", move || {
            let gateway = gateway.clone();
            async move { gateway.topic().offsets().await.map(drop).map_err(|error| error.to_string()) }
        })
    }

    fn postgres(&self) -> Dependency {
        let (gateway, breakers) = (self.clone(), self.breakers().clone());
        let store = Dependency::new("postgres", move || {
            let gateway = gateway.clone();
            async move { Query::ready(gateway.store()).await.map_err(|error| error.to_string()) }
        });
        store.breaker(move || breakers.states_of("store-reads"))
    }

    fn service(
        &self,
        name: &'static str,
        breaker: &'static str,
        of: impl Fn(&Gateway) -> &Upstream + Copy + Send + Sync + 'static,
    ) -> Dependency {
        let (gateway, breakers) = (self.clone(), self.breakers().clone());
        let service = Dependency::new(name, move || {
            let gateway = gateway.clone();
            async move {
                let status = of(&gateway).status(SERVICE_WITHIN).await?;
                match status["status"].as_str() {
                    Some("unavailable") => Err(status["detail"].as_str().unwrap_or("unavailable").to_owned()),
                    _ => Ok(()),
                }
            }
        });
        service.breaker(move || breakers.states_of(breaker))
    }

    fn redis(&self, redis: Redis) -> Dependency {
        let breakers = self.breakers().clone();
        let redis = Dependency::new("redis", move || {
            let redis = redis.clone();
            async move { redis.ping(REDIS_WITHIN).await.map_err(|error| error.to_string()) }
        });
        redis.breaker(move || breakers.states_of("redis"))
    }
}
