//! Each thing breaks in turn on a running system, and a real Prometheus tells what it should and nothing else.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dashboards;
mod prometheus;
mod redis;
mod traffic;

use fault_tests::{
    client::Client,
    fault::Fault,
    parts::Shape,
    proxy::Mode,
    run::{System, free_ports},
    service::Service,
};
use prometheus::Prometheus;
use redis::Redis;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use traffic::Traffic;

/// Longest time until alerts fire, or are over.
const WITHIN: Duration = Duration::from_secs(90);
/// How long the alerts are watched when they are as they should be: longer than every window and wait of the rules.
const WATCHED: Duration = Duration::from_secs(15);

/// A partition stores slowly when the network to the database is slow: few records a transaction.
const CONSUMER: &[(&str, &str)] = &[("LOGPIPELINE_BATCH_RECORDS", "100")];
/// So that organisations are not the limit.
const GATEWAY: &[(&str, &str)] = &[("LOGPIPELINE_CACHE_PRESENT", "1s")];

struct Stage {
    system: System,
    prometheus: Prometheus,
    redis: Redis,
    url: String,
    _gateway: Service,
}

impl Stage {
    async fn set() -> Stage {
        let system = System::start(Shape { consumer: CONSUMER, ..Shape::of(3) }).await.unwrap();
        let redis = Redis::start();
        let ports = free_ports(2).unwrap();
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let settings = [GATEWAY, &[("LOGPIPELINE_REDIS_URL", redis.url.as_str())]].concat();
        let gateway = Service::gateway(&system.parts, ports[0], &system.urls[0], &settings).unwrap();
        let client = Client::new(&url, "org-0");
        until("the gateway takes events", async || {
            client.post("{\"message\":\"first\"}\n".into()).await.status == 202
        })
        .await;
        let mut targets = vec![("gateway", gateway.admin().unwrap())];
        targets.extend(system.producers.iter().map(|of| ("producer", of.admin().unwrap())));
        targets.extend(system.consumers.iter().map(|of| ("consumer", of.admin().unwrap())));
        let prometheus = Prometheus::start(system.parts.directory(), ports[1], &targets);
        Stage { system, prometheus, redis, url, _gateway: gateway }
    }

    /// Waits until exactly these fire, and watches them for a while. Until then others may be pending, but none may fire.
    async fn fires(&self, what: &str, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|name| format!("LogPipeline{name}")).collect();
        let begun = Instant::now();
        let mut as_wanted: Option<Instant> = None;
        let mut seen = BTreeSet::new();
        loop {
            let firing = self.prometheus.firing().await.unwrap_or_default();
            seen.extend(firing.iter().cloned());
            let others: Vec<&String> = seen.difference(&wanted).collect();
            assert!(
                others.is_empty(),
                "{what}: {others:?} fire, which should not: {:#}",
                self.prometheus.alerts().await
            );
            if firing == wanted {
                if as_wanted.get_or_insert_with(Instant::now).elapsed() > WATCHED {
                    println!("{what}: {wanted:?} after {:?}", begun.elapsed() - WATCHED);
                    return;
                }
            } else if as_wanted.is_none() {
                assert!(begun.elapsed() < WITHIN, "{what}: {firing:?} fire, wanted {wanted:?}");
            } else if wanted
                .iter()
                .any(|name| !LASTS_A_WHILE.contains(&name.as_str()) && !firing.contains(name))
            {
                as_wanted = None;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until nothing fires any more.
    async fn calms_down(&self, what: &str) {
        let begun = Instant::now();
        while self.prometheus.firing().await.is_none_or(|firing| !firing.is_empty()) {
            assert!(
                begun.elapsed() < WITHIN,
                "{what} is mended, and there still are {:#}",
                self.prometheus.alerts().await
            );
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Alerts about something that happened and is over.
const LASTS_A_WHILE: &[&str] = &["LogPipelineDeadLetters"];

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_alerts_and_no_others() {
    let stage = Stage::set().await;
    let parts = &stage.system.parts;
    let _traffic = Traffic::everyday(&stage.url);
    stage.fires("everyday traffic", &[]).await;
    dashboards::show_what_there_is(&stage.prometheus).await;

    parts.database("kill").await.unwrap();
    stage.fires("the database is dead", &["BreakerOpen", "Lag"]).await;
    parts.database("up").await.unwrap();
    stage.calms_down("the database").await;

    parts.database_proxy.set(Mode::Slow(Duration::from_millis(400)));
    stage.fires("the database is slow", &["Slow"]).await;
    parts.database_proxy.set(Mode::Pass);
    stage.calms_down("the slow database").await;

    stage.redis.hack("kill");
    stage.fires("Redis is dead", &["BreakerOpen"]).await;
    stage.redis.hack("start");
    stage.calms_down("Redis").await;

    for broker in 1..=parts.shape.brokers {
        parts.broker("kill", broker).await.unwrap();
    }
    stage.fires("Kafka is dead", &["BreakerOpen", "Errors"]).await;
    for broker in 1..=parts.shape.brokers {
        parts.broker("start", broker).await.unwrap();
    }
    stage.calms_down("Kafka").await;

    stage.system.suffer(Fault::Garbage(20)).await.unwrap();
    stage.fires("somebody writes to the topic what is no event", &["DeadLetters"]).await;
    stage.calms_down("the topic").await;

    parts.database_proxy.set(Mode::Slow(Duration::from_millis(30)));
    let hot = Traffic::hot(&stage.url);
    stage.fires("an organisation is hot", &["HotPartition", "Lag"]).await;
    drop(hot);
    parts.database_proxy.set(Mode::Pass);
    stage.calms_down("the hot organisation").await;

    let curious = Traffic::curious(&stage.url);
    stage.fires("no question is asked twice", &["CacheMisses"]).await;
    drop(curious);
    stage.calms_down("the cache").await;

    stage.system.consumers.iter().for_each(Service::terminate);
    stage.fires("no consumer is there", &["Down", "Lag"]).await;
    stage.system.consumers.iter().for_each(Service::want);
}
