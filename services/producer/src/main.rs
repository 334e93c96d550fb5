//! `logpipeline-producer`: takes events over HTTP and answers when Kafka has them.

use process::{
    health::{Dependency, Readiness},
    metrics::Metrics,
    server::{Limits, Server},
    service::{self, Frame, Service},
};
use producer::{Producer, config::Config};
use resilience::Breakers;
use std::{error::Error, process::ExitCode};
use topic::kafka::{self, Topic};

const SERVICE: Service = Service {
    name: "logpipeline-producer",
    about: "Takes log events over HTTP, judges each, and answers when Kafka has acknowledged them.",
    version: env!("CARGO_PKG_VERSION"),
};

/// A gateway that speaks HTTP/2 sends all its writes on few connections: as many as it has under way by default.
const STREAMS: u32 = 1024;

fn main() -> ExitCode {
    service::main(SERVICE, Config::read, run)
}

async fn run(config: Config, frame: Frame) -> Result<(), Box<dyn Error>> {
    let mut metrics = Metrics::new("logpipeline");
    let server = Server::bind(config.listen, Limits { streams: STREAMS, ..Limits::default() })?;
    let breakers = Breakers::register(metrics.registry());
    let topic = Topic::new(config.kafka, kafka::Metrics::register(metrics.registry()))?;
    let writer = topic.writer()?;
    let producer =
        Producer::new(config.api, config.gateway_key, writer.clone(), &breakers, metrics.registry());
    // A producer that alone cannot reach Kafka should get no writes. When none can, the gateway keeps to those it knew.
    let kafka = Dependency::new("kafka", move || {
        let writer = writer.clone();
        async move { writer.ready().await.map_err(|error| error.to_string()) }
    });
    let readiness = Readiness::new().with(kafka.breaker(move || breakers.states_of("topic")));
    server.register(metrics.root());
    let app = producer.router().layer(service::around(&metrics));
    let admin = frame.admin(&readiness, metrics, axum::Router::new())?;
    tracing::info!(address = %server.local_addr(), "taking events");
    let drained = server.serve(app, frame.draining(&readiness)).await;
    tracing::info!(?drained, "no more requests");
    admin.end().await;
    Ok(())
}
