//! `logpipeline-gateway`: the door for clients, in front of producers, Kafka and PostgreSQL.

use gateway::{
    Gateway, Parts, Protocol, Reads, Upstream, auth::Keys, config::Config, limits::Limiter, redis::Redis,
};
use process::{
    cores::Cores,
    health::Readiness,
    metrics::Metrics,
    server::{Limits, Server},
    service::{self, Frame, Service},
};
use resilience::Breakers;
use std::{error::Error, process::ExitCode, sync::Arc};
use store::{Query, postgres::Store};
use topic::kafka::{self, Topic};

const SERVICE: Service = Service {
    name: "logpipeline-gateway",
    about: "Checks tokens, passes log events on to the producers, and answers searches, counts and live tails.",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    service::main(SERVICE, Config::read, run)
}

async fn run(config: Config, frame: Frame) -> Result<(), Box<dyn Error>> {
    let mut metrics = Metrics::new("logpipeline");
    let server = Server::bind(config.listen, Limits::default())?;
    let cores = Cores::start()?;
    let topic = Topic::new(config.kafka, kafka::Metrics::register(metrics.registry()))?;
    let store = Store::open(config.postgres)?;
    let breakers = Breakers::register(metrics.registry());
    let redis = config.redis.map(|address| Redis::open(&address, &cores, &breakers, metrics.registry()));
    let parts = Parts {
        keys: Keys::open(config.auth, metrics.registry(), frame.stop.clone())?,
        gateway_key: config.gateway_key,
        producer: Upstream::remote("producer", &config.producer, config.producer_protocol, &cores, &breakers),
        consumer: Upstream::remote("consumer", &config.consumer, Protocol::Http1, &cores, &breakers),
        store: Arc::new(store.clone()),
        reads: Reads::new(config.cache, store.late_events(), redis.clone(), &breakers, metrics.registry()),
        topic: topic.viewer(),
        limiter: Limiter::new(config.limits, redis.clone(), metrics.registry()),
        breakers,
        writes: config.writes,
        tails: config.tails,
    };
    let readiness = Readiness::new();
    let stop = frame.draining(&readiness);
    server.register(metrics.root());
    let gateway = Gateway::new(parts, stop.clone());
    gateway.audit(metrics.registry());
    let readiness = gateway.show_dependencies(readiness, redis);
    store.register(metrics.registry());
    let app = gateway.router().layer(service::around(&metrics));
    let admin = frame.admin(&readiness, metrics, axum::Router::new())?;
    tracing::info!(address = %server.local_addr(), "open");
    tokio::spawn(look_at(store.clone()));
    let drained = server.serve_on(&cores, app, stop).await;
    tracing::info!(?drained, "no more requests");
    store.close().await;
    admin.end().await;
    Ok(())
}

/// Says when reads cannot be answered yet. Writes do not wait for that.
async fn look_at(store: Store) {
    if let Err(error) = Query::ready(&store).await {
        tracing::warn!(%error, "reads are answered 503 until the store is there");
    }
}
