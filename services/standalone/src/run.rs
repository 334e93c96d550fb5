//! The pipeline: opens the parts, joins them, serves, drains.

use crate::{
    cli::RunArgs,
    data_dir::{self, DataDir},
    drain, greeting,
};
use anyhow::Context;
use consumer::Consumer;
use gateway::{
    CacheConfig, Gateway, Parts, Reads, TailLimits, Upstream, WriteLimits,
    auth::{Keys, PIPELINE, READ, WRITE},
    limits::{self, Limiter},
};
use process::{
    health::{Dependency, Readiness},
    metrics::Metrics,
    server, shutdown, telemetry,
};
use producer::Producer;
use prometheus_client::registry::Registry;
use resilience::Breakers;
use std::{
    io::IsTerminal,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{Query, Sink};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use topic::{Reader, Writer};

const GIB: u64 = 1 << 30;
/// Events a second of the demonstration that a newcomer sees.
const GENTLE: u32 = 20;
/// Organisations that share the other half of it.
const OTHERS: usize = 12;
/// How long the end may take until what was accepted is stored.
const DRAIN: Duration = Duration::from_secs(10);
/// How often stored records are deleted from the topic.
const TRIM: Duration = Duration::from_secs(10);

/// Runs the pipeline until a signal ends it.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    telemetry::init("LOGPIPELINE_LOG", telemetry::Format::Text)?;
    let stop = shutdown::signal();
    let started = Instant::now();
    let data = data_dir::open(&args.data_dir)?;
    let server = server::Server::bind(args.listen, server::Limits::default())?;
    let address = server.local_addr();
    let mut metrics = Metrics::new("logpipeline");
    server.register(metrics.root());

    let topic = Arc::new(open_topic(&data, &args)?);
    let store = open_store(&data, &args)?;
    let keys = Keys::new(&data.secret);
    keys.register(metrics.registry());
    let before = drain::counts(&store).await?;

    let limiter = Limiter::new(limits(&args)?, None, metrics.registry());
    let breakers = Breakers::register(metrics.registry());
    let readiness = readiness(topic.writer(), store.clone(), breakers.clone());
    let (consumer, gateway) =
        compose(&topic, &store, keys.clone(), limiter, breakers, metrics.registry(), stop.clone())?;
    let around = process::service::around(&metrics);
    let app = gateway.router().merge(readiness.router()).merge(metrics.router()).layer(around);

    // The consumer outlives the server: it stores what the last requests left in the topic.
    let consumed = CancellationToken::new();
    let mut work = JoinSet::new();
    work.spawn(consume(consumer, topic.subscribe("store"), consumed.clone()));
    work.spawn(trim(Arc::clone(&topic), store.clone(), consumed.clone()));

    let demo = args.demo.unwrap_or(if data.is_new && std::io::stdout().is_terminal() { GENTLE } else { 0 });
    // Whoever starts the pipeline is its operator.
    let scopes = [READ, WRITE, PIPELINE].join(" ");
    let token = keys.issue(&"demo".parse()?, &scopes, Duration::from_secs(24 * 3600));
    greeting::print(address, &token, &data.path, demo);
    let demos = demonstrate(demo, address, &keys, &stop);

    let told = tokio::spawn(say_stopping(stop.clone(), readiness));
    let broken = tokio::select! {
        drained = server.serve(app, stop.clone()) => {
            tracing::debug!(?drained, "server stopped");
            None
        }
        Some(Ok(Err(error))) = work.join_next() => Some(error),
    };
    if let Some(error) = broken {
        return Err(error).context("the pipeline stops");
    }
    told.await?;
    demos.join_all().await;
    let report = drain::drain(&*topic.viewer(), &store, DRAIN, before).await?;
    consumed.cancel();
    while let Some(done) = work.join_next().await {
        done??;
    }
    if let Some(topic) = Arc::into_inner(topic) {
        topic.close().await;
    }
    store.close().await;
    println!("stopped after {:.1?}: {report}", started.elapsed());
    Ok(())
}

/// The services, joined within this process.
fn compose(
    topic: &topic::embedded::Topic,
    store: &store::embedded::Store,
    keys: Keys,
    limiter: Limiter,
    breakers: Breakers,
    registry: &mut Registry,
    stop: CancellationToken,
) -> anyhow::Result<(Consumer, Gateway)> {
    // Nobody else has to know the key: another one for each run.
    let mut secret = [0; handoff::KEY_BYTES];
    getrandom::fill(&mut secret)?;
    let gateway_key = handoff::Key::new(&secret);
    let config = producer::Config::default();
    let producer = Producer::new(config, gateway_key.clone(), topic.writer(), &breakers, registry);
    let sink = Arc::new(store.clone()) as Arc<dyn Sink>;
    let consumer = Consumer::new(consumer::Config::default(), sink, &breakers, registry);
    // The store is in this process: what is new is seen at once.
    let cache = CacheConfig { present: Duration::ZERO, ..CacheConfig::default() };
    let parts = Parts {
        keys,
        gateway_key,
        producer: Upstream::local(producer.router()),
        consumer: Upstream::local(consumer.router()),
        store: Arc::new(store.clone()),
        topic: topic.viewer(),
        reads: Reads::new(cache, store.late_events(), None, &breakers, registry),
        limiter,
        breakers,
        writes: WriteLimits::default(),
        tails: TailLimits::default(),
    };
    let gateway = Gateway::new(parts, stop);
    gateway.audit(registry);
    Ok((consumer, gateway))
}

/// The limits of the file, if there is one. This process is the only gateway, so its own buckets are the limit.
fn limits(args: &RunArgs) -> anyhow::Result<limits::Config> {
    let Some(path) = &args.rate_limits else { return Ok(limits::Config::default()) };
    let source = limits::Source::file(path.clone())
        .map_err(|error| anyhow::anyhow!("the rate limits {} cannot be used: {error}", path.display()))?;
    Ok(limits::Config { source, ..limits::Config::default() })
}

async fn say_stopping(stop: CancellationToken, readiness: Readiness) {
    stop.cancelled().await;
    readiness.drain();
    println!("stopping: accepting no more, storing what is accepted (again Ctrl-C: at once)");
}

fn open_topic(data: &DataDir, args: &RunArgs) -> anyhow::Result<topic::embedded::Topic> {
    let config =
        topic::embedded::Config { max_bytes: args.topic_gib.saturating_mul(GIB), ..Default::default() };
    topic::embedded::Topic::open(&data.path.join("topic.db"), config).context("the topic cannot be opened")
}

fn open_store(data: &DataDir, args: &RunArgs) -> anyhow::Result<store::embedded::Store> {
    let config =
        store::embedded::Config { max_bytes: args.store_gib.saturating_mul(GIB), ..Default::default() };
    store::embedded::Store::open(&data.path.join("store.db"), config).context("the store cannot be opened")
}

fn readiness(writer: Arc<dyn Writer>, store: store::embedded::Store, breakers: Breakers) -> Readiness {
    let topic = Dependency::new("topic", move || {
        let writer = Arc::clone(&writer);
        async move { writer.ready().await.map_err(|error| error.to_string()) }
    });
    let store = Dependency::new("store", move || {
        let store = store.clone();
        async move { Query::ready(&store).await.map_err(|error| error.to_string()) }
    });
    let before_topic = breakers.clone();
    Readiness::new()
        .with(topic.breaker(move || before_topic.states_of("topic")))
        .with(store.breaker(move || breakers.states_of("store-reads")))
}

async fn consume(consumer: Consumer, reader: Box<dyn Reader>, stop: CancellationToken) -> anyhow::Result<()> {
    Ok(consumer.run(reader, stop).await?)
}

/// Deletes from the topic what is stored, every now and then.
async fn trim(
    topic: Arc<topic::embedded::Topic>,
    store: store::embedded::Store,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut every = tokio::time::interval(TRIM);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        let (Ok(rows), Ok(offsets)) = (store.ledger().await, topic.viewer().offsets().await) else {
            continue;
        };
        for of in offsets {
            let stored = rows.iter().find(|row| row.topic == of.topic.0 && row.partition == of.partition);
            if let Some(row) = stored.filter(|row| row.next > of.log_start)
                && let Err(error) = topic.trim(of.partition, row.next).await
            {
                tracing::warn!(%error, partition = of.partition, "stored records cannot be deleted from the topic");
            }
        }
    }
}

/// Sends made-up events through the front door, as any client would: half for the organisation whose token is
/// printed, half for others, so that every partition has something to do.
fn demonstrate(rate: u32, address: SocketAddr, keys: &Keys, stop: &CancellationToken) -> JoinSet<()> {
    let mut demos = JoinSet::new();
    let shares = [("demo", rate.div_ceil(2), None), ("*", rate / 2, Some(OTHERS))];
    for (organisation, rate, spread) in shares.into_iter().filter(|(_, rate, _)| *rate > 0) {
        let organisation = organisation.parse().expect("both are names of organisations");
        let token = keys.issue(&organisation, WRITE, Duration::from_secs(366 * 24 * 3600));
        let url = format!("http://{address}");
        let stop = stop.clone();
        demos.spawn(async move {
            if let Err(error) = generator::demo(url, token, f64::from(rate), spread, stop).await {
                tracing::warn!(%error, "the demonstration has ended");
            }
        });
    }
    demos
}
