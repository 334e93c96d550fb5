//! Whole writes over HTTP while Redis is well, dies, freezes or gets slow: they stay quick, the limit holds, and Redis decides
//! again by itself.

use crate::{
    door::{Behind, Door},
    load::{Load, Loaded},
    slow::SlowWay,
    support::{Server, connected, until},
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use gateway::limits::Config;
use std::time::Duration;

/// Events a second of the limit, and of the share of one of two gateways.
const LIMIT: u32 = 60;
const GATEWAYS: u32 = 2;
const BURST: u32 = 20;
/// How often that is asked for, one event a request.
const PER_SECOND: u32 = LIMIT * 5;
/// How long each outage lasts.
const LASTS: Duration = Duration::from_secs(3);
/// How much longer than usual a write may take.
const MORE: Duration = Duration::from_millis(50);

/// Takes everything, and says that it was one event.
fn upstream() -> Router {
    Router::new().fallback(async |request: Request| {
        axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let events = HeaderMap::from_iter([(handoff::EVENTS.parse().unwrap(), "1".parse().unwrap())]);
        (StatusCode::ACCEPTED, events)
    })
}

/// A gateway that listens, and what writes cost while its Redis is well.
struct Usual {
    door: Door,
    load: Load,
    well: Loaded,
}

impl Usual {
    async fn new(url: &str) -> Usual {
        let behind = Behind::new();
        let limits = format!(r#"{{"default":{{"write":{{"perSecond":{LIMIT},"burst":{BURST}}}}}}}"#);
        let deadline = Config::default().deadline;
        let config = Config { gateways: GATEWAYS, deadline, ..behind.limits(&limits) };
        let door = behind.door_to(upstream(), config, Some(connected(url).await));
        let load = Load::new(door.serve(), PER_SECOND, LASTS);
        load.run(&door, "warm").await;
        let well = load.run(&door, "usual").await;
        println!("well: {well:?}");
        Usual { door, load, well }
    }

    fn decided(&self, by: &str) -> f64 {
        let of = |outcome| {
            let labels = format!("kind=\"write\",by=\"{by}\",outcome=\"{outcome}\"");
            self.door.metric(&format!("rate_limit_decisions_total{{{labels}}}"))
        };
        of("allowed") + of("limited")
    }

    /// Writes go on during what is wrong now: quickly, within this gateway's share, by its own decision.
    async fn assert_bears(&self, what: &str) {
        let before = self.decided("local");
        let loaded = self.load.run(&self.door, what).await;
        let locally = self.decided("local") - before;
        println!("{what}: {loaded:?}, {locally} decided locally");
        let share = LIMIT / GATEWAYS * u32::try_from(LASTS.as_secs()).unwrap();
        // With what buckets hold, and what Redis still decided.
        let accepted = share / 2..=share + BURST + LIMIT;
        assert!(accepted.contains(&loaded.accepted), "{what}: {loaded:?}, the share is {share}");
        assert!(loaded.refused > accepted.end() * 2, "{what}: {loaded:?} is not far above the limit");
        assert!(loaded.p99 < self.well.p99 + MORE, "{what}: {loaded:?}, well {:?}", self.well);
        assert!(loaded.longest < Duration::from_secs(1), "{what}: {loaded:?}");
        assert!(locally > f64::from(loaded.accepted), "{what}: only {locally} were decided locally");
    }

    async fn until_redis_decides(&self) {
        until("Redis decides again", async || {
            let before = self.decided("redis");
            self.load.write(&self.door, "again").await;
            self.decided("redis") > before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_and_then_a_frozen_redis() {
    let server = Server::start().await;
    let usual = Usual::new(&server.url).await;
    for (out, back) in [("kill", "start"), ("stop", "cont")] {
        usual.until_redis_decides().await;
        server.hack(out);
        usual.assert_bears(out).await;
        server.hack(back);
        usual.until_redis_decides().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_gets_slow() {
    let server = Server::start().await;
    let way = SlowWay::to(&server.url).await;
    let usual = Usual::new(&way.url).await;
    for millis in [20, 200, 3000] {
        usual.until_redis_decides().await;
        way.delay(Duration::from_millis(millis));
        usual.assert_bears(&format!("slow-{millis}-ms")).await;
        way.delay(Duration::ZERO);
        usual.until_redis_decides().await;
    }
}
