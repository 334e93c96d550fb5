//! Each thing breaks in turn on a running system, and a real Prometheus tells what it should and nothing else.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dashboards;
mod metrics_page;
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
use metrics_page::MetricsPage;
use prometheus::Prometheus;
use redis::Redis;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use traffic::Traffic;

/// Longest time until alerts fire, or are over.
const WITHIN: Duration = Duration::from_secs(90);
/// How long the alerts are watched when they are as they should be: longer than every window and wait of the rules.
const WATCHED: Duration = Duration::from_secs(17);

/// Rows of the hot organisation can be made to cost the database time, so that its partition's consumer has a limit that
/// this machine can exceed.
const HOT_ROWS_COST: &str = "
    CREATE TABLE cost AS SELECT 0::float8 AS seconds;
    CREATE FUNCTION costs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(seconds) FROM cost; RETURN NEW; END $$;
    CREATE TRIGGER hot_rows_cost BEFORE INSERT ON logs FOR EACH ROW WHEN (NEW.organization_id = 'hot')
    EXECUTE FUNCTION costs()";
/// Transactions of hot rows stay far below their time limit.
const CONSUMER: &[(&str, &str)] = &[("LOGPIPELINE_BATCH_RECORDS", "1000")];

struct Stage {
    system: System,
    prometheus: Prometheus,
    redis: Redis,
    url: String,
    targets: Vec<(&'static str, String)>,
    limits: PathBuf,
    gateway: Service,
}

impl Stage {
    async fn set() -> Stage {
        let system = System::start(Shape { consumer: CONSUMER, ..Shape::of(3) }).await.unwrap();
        let redis = Redis::start();
        let ports = free_ports(2).unwrap();
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let limits = system.parts.directory().join("limits.json");
        std::fs::write(&limits, limits_of(900_000)).unwrap();
        let settings = [
            ("LOGPIPELINE_REDIS_URL", redis.url.as_str()),
            ("LOGPIPELINE_RATE_LIMITS_FILE", limits.to_str().unwrap()),
            // Nobody is there: its metrics show.
            ("LOGPIPELINE_JWKS_URL", "http://127.0.0.1:1/keys"),
        ];
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
        Stage { system, prometheus, redis, url, targets, limits, gateway }
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
            let is_over = |name: &&String| LASTS_A_WHILE.contains(&name.as_str()) && seen.contains(*name);
            let missing: Vec<&String> =
                wanted.iter().filter(|name| !firing.contains(*name) && !is_over(name)).collect();
            if missing.is_empty() {
                let since = *as_wanted.get_or_insert_with(Instant::now);
                if since.elapsed() > WATCHED {
                    println!("{what}: {wanted:?} after {:?}", since - begun);
                    return;
                }
            } else {
                as_wanted = None;
                assert!(begun.elapsed() < WITHIN, "{what}: {missing:?} do not fire");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Kubernetes would restart nothing, and take nothing out of rotation that still does its work.
    async fn keeps_its_processes(&self) {
        for (component, address) in &self.targets {
            let asked = async |path: &str| {
                let answer =
                    fault_tests::load::http().get(format!("http://{address}{path}")).send().await.unwrap();
                answer.status().as_u16()
            };
            assert_eq!(asked("/livez").await, 200, "{component}");
            assert_eq!(asked("/readyz").await, 200, "{component}");
        }
    }

    /// After all of the faults every metric has something to show, but for these.
    async fn shows_all_metrics(&self) {
        std::fs::write(&self.limits, limits_of(950_000)).unwrap();
        let stranger = fault_tests::load::http().get(format!("{}/api/v1/stats", self.url));
        assert_eq!(stranger.bearer_auth("not.a.token").send().await.unwrap().status(), 401);
        let mut page = MetricsPage::new();
        until("the new limits show", async || {
            page = MetricsPage::new();
            for (component, address) in &self.targets {
                page.collect(component, address).await;
            }
            page.has("logpipeline_rate_limit_file_changes")
        })
        .await;
        page.compare();
    }

    /// Waits until nothing fires for a while. What was broken is not the last to recover: consumers share out their
    /// partitions anew after Kafka is back.
    async fn calms_down(&self, what: &str) {
        let begun = Instant::now();
        let mut fired = Instant::now();
        while fired.elapsed() < WATCHED {
            if self.prometheus.firing().await.is_none_or(|firing| !firing.is_empty()) {
                fired = Instant::now();
                assert!(
                    begun.elapsed() < WITHIN,
                    "{what} is mended, and there still are {:#}",
                    self.prometheus.alerts().await
                );
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Limits that nobody reaches.
fn limits_of(per_second: u32) -> String {
    format!(r#"{{"default":{{"write":{{"perSecond":{per_second},"burst":1000000}}}}}}"#)
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
    until("the tables are there", async || parts.sql(HOT_ROWS_COST).await.is_ok()).await;
    let _traffic = Traffic::everyday(&stage.url);
    stage.fires("everyday traffic", &[]).await;
    dashboards::show_what_there_is(&stage.prometheus).await;

    parts.database("kill").await.unwrap();
    stage.fires("the database is dead", &["BreakerOpen", "Lag"]).await;
    stage.keeps_its_processes().await;
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

    parts.all_brokers("kill").await.unwrap();
    stage.fires("Kafka is dead", &["BreakerOpen", "Errors"]).await;
    parts.all_brokers("start").await.unwrap();
    stage.calms_down("Kafka").await;

    stage.system.suffer(Fault::Garbage(20)).await.unwrap();
    stage.fires("somebody writes to the topic what is no event", &["DeadLetters"]).await;
    stage.calms_down("the topic").await;

    parts.sql("UPDATE cost SET seconds = 0.001").await.unwrap();
    let hot = Traffic::hot(&stage.url);
    stage.fires("an organisation is hot", &["HotPartition", "Lag"]).await;
    drop(hot);
    parts.sql("UPDATE cost SET seconds = 0").await.unwrap();
    stage.calms_down("the hot organisation").await;

    let curious = Traffic::curious(&stage.url);
    stage.fires("no question is asked twice", &["CacheMisses"]).await;
    drop(curious);
    stage.calms_down("the cache").await;

    stage.shows_all_metrics().await;
    stage.system.consumers.iter().for_each(Service::terminate);
    stage.fires("no consumer is there", &["Down", "Lag"]).await;
    for service in stage.system.producers.iter().chain(&stage.system.consumers).chain([&stage.gateway]) {
        assert!(service.ended_by_itself().is_empty(), "{} ended by itself", service.name);
    }
}
