//! `logpipeline-consumer`: stores what is in Kafka into PostgreSQL, exactly once.

use consumer::{Consumer, config::Config, relay, upkeep};
use process::{
    health::{Dependency, Readiness},
    metrics::Metrics,
    service::{self, Frame, Service},
};
use resilience::Breakers;
use std::{error::Error, process::ExitCode, sync::Arc};
use store::{Sink, postgres::Store};
use topic::kafka::{self, Publisher, Topic};

const SERVICE: Service = Service {
    name: "logpipeline-consumer",
    about: "Stores log events from Kafka into PostgreSQL exactly once, and sets aside what cannot be stored.",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    service::main(SERVICE, Config::read, run)
}

async fn run(config: Config, frame: Frame) -> Result<(), Box<dyn Error>> {
    let mut metrics = Metrics::new("logpipeline");
    let breakers = Breakers::register(metrics.registry());
    let topic = Topic::new(config.kafka.clone(), kafka::Metrics::register(metrics.registry()))?;
    let store = Store::open(config.postgres)?;
    store.register(metrics.registry());
    let consumer = Consumer::new(
        config.consume,
        Arc::new(store.clone()) as Arc<dyn Sink>,
        &breakers,
        metrics.registry(),
    );
    let (viewer, sink) = (topic.viewer(), store.clone());
    // Nothing but the gateway asks a consumer anything, and it asks most when something is out: how storing goes.
    let kafka = Dependency::new("kafka", move || {
        let viewer = viewer.clone();
        async move { viewer.offsets().await.map(drop).map_err(|error| error.to_string()) }
    });
    let postgres = Dependency::new("postgres", move || {
        let sink = sink.clone();
        async move { Sink::ready(&sink).await.map_err(|error| error.to_string()) }
    });
    let postgres = postgres.breaker(move || breakers.states_of("store-writes"));
    let readiness = Readiness::new().with(kafka.only_shown()).with(postgres.only_shown());
    let admin = frame.admin(&readiness, metrics, consumer.router())?;

    // A database that is not there yet is waited for; what is wrong shows in the readiness and the logs.
    if upkeep::prepare(&store, &frame.stop).await {
        let stop = frame.stop.clone();
        let publisher = Publisher::new(&config.kafka, &config.dead_letter_topic, &config.group)?;
        let relay = tokio::spawn(relay::run(config.kafka.topic, publisher, store.clone(), stop.clone()));
        let upkeep = tokio::spawn(upkeep::maintain(store.clone(), stop.clone()));
        consumer.run(topic.subscribe(&config.group), stop).await?;
        relay.await?;
        upkeep.await?;
    }
    store.close().await;
    admin.end().await;
    Ok(())
}
