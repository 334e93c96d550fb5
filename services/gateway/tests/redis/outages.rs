//! Redis dies, freezes or gets slow: a decision stays quick, limits hold locally, and Redis decides again by itself.

use crate::{
    door::Behind,
    slow::SlowWay,
    support::{Server, connected, fresh, name, shared, until},
};
use gateway::limits::{Config, Kind, Limiter, Ruling};
use prometheus_client::registry::Registry;
use std::time::{Duration, Instant};

/// Reads a second of the limit, and of the share of one of two gateways.
const LIMIT: u32 = 200;
const GATEWAYS: u32 = 2;
/// How long each outage lasts.
const LASTS: Duration = Duration::from_secs(3);

async fn limiter(behind: &Behind, url: &str) -> Limiter {
    let limits = format!(r#"{{"default":{{"read":{{"perSecond":{LIMIT},"burst":20}}}}}}"#);
    let deadline = Config::default().deadline;
    let config = Config { gateways: GATEWAYS, deadline, ..behind.limits(&limits) };
    Limiter::new(config, Some(connected(url).await), &mut Registry::default())
}

fn by(ruling: Ruling) -> (bool, &'static str) {
    match ruling {
        Ruling::Allowed(standing) => (true, standing.by),
        Ruling::Limited(standing) => (false, standing.by),
        other => panic!("{other:?}"),
    }
}

/// Asks ten times as often as the limit allows while something is wrong. Answers how many were allowed, and of the times
/// that decisions took the 99th percentile and the longest.
async fn overload(limiter: &Limiter, organization: &str) -> (u32, Duration, Duration) {
    let name = name(organization);
    let (begun, mut allowed, mut times) = (tokio::time::Instant::now(), 0, Vec::new());
    for number in 0.. {
        let due = Duration::from_micros(number * 1_000_000 / u64::from(LIMIT * 10));
        if due > LASTS {
            break;
        }
        tokio::time::sleep_until(begun + due).await;
        let asked = Instant::now();
        allowed += u32::from(by(limiter.take(&name, Kind::Read, 1).await).0);
        times.push(asked.elapsed());
    }
    times.sort();
    (allowed, times[times.len() * 99 / 100], times[times.len() - 1])
}

/// Between half and the whole share of this gateway, with what a bucket holds and what Redis still decided.
fn assert_held(what: &str, (allowed, p99, longest): (u32, Duration, Duration)) {
    let share = LIMIT / GATEWAYS * u32::try_from(LASTS.as_secs()).unwrap();
    println!(
        "{what}: {allowed} allowed, the share is {share}; p99 of a decision {p99:?}, the longest {longest:?}"
    );
    assert!((share / 2..=share + 80).contains(&allowed), "{what}: {allowed} allowed, the share is {share}");
    assert!(p99 < Duration::from_millis(50), "{what}: p99 {p99:?}");
}

async fn until_redis_decides(limiter: &Limiter) {
    until("Redis decides again", async || {
        by(limiter.take(&name(&fresh("again")), Kind::Read, 1).await).1 == "redis"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis() {
    let (behind, server) = (Behind::new(), Server::start().await);
    let limiter = limiter(&behind, &server.url).await;
    until_redis_decides(&limiter).await;
    let (_, p99, longest) = overload(&limiter, "before").await;
    println!("well: p99 of a decision {p99:?}, the longest {longest:?}");
    server.hack("stop");
    assert_held("frozen", overload(&limiter, "acme").await);
    server.hack("cont");
    until_redis_decides(&limiter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis() {
    let (behind, server) = (Behind::new(), Server::start().await);
    let limiter = limiter(&behind, &server.url).await;
    until_redis_decides(&limiter).await;
    server.hack("kill");
    assert_held("dead", overload(&limiter, "acme").await);
    server.hack("start");
    until_redis_decides(&limiter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis() {
    let (behind, server) = (Behind::new(), Server::start().await);
    let way = SlowWay::to(&server.url).await;
    let limiter = limiter(&behind, &way.url).await;
    until_redis_decides(&limiter).await;
    for millis in [20, 200, 3000] {
        way.delay(Duration::from_millis(millis));
        assert_held(&format!("{millis} ms slow"), overload(&limiter, "acme").await);
        way.delay(Duration::ZERO);
        until_redis_decides(&limiter).await;
    }
}

/// A failover: the address leads to another server, and the one before lives on as a replica that takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_became_a_replica_is_left_for_the_new_one() {
    let (behind, server) = (Behind::new(), Server::start().await);
    let way = SlowWay::to(&server.url).await;
    let limiter = limiter(&behind, &way.url).await;
    until_redis_decides(&limiter).await;
    way.lead_to(&shared());
    let old = connected(&server.url).await;
    let demoted = old.call(Duration::from_secs(5), async |mut connection| {
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec_async(&mut connection).await
    });
    demoted.await.unwrap();
    until("the replica is noticed", async || {
        by(limiter.take(&name(&fresh("during")), Kind::Read, 1).await).1 == "local"
    })
    .await;
    until_redis_decides(&limiter).await;
}

/// The local bucket is as full as the one in Redis was: an outage is no present.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_bucket_does_not_begin_full() {
    let (behind, server) = (Behind::new(), Server::start().await);
    let limits = r#"{"default":{"write":{"perSecond":1,"burst":1000}}}"#;
    let config = || behind.limits(limits);
    let redis = connected(&server.url).await;
    let limiter = Limiter::new(config(), Some(redis), &mut Registry::default());
    let acme = name("acme");
    assert_eq!(by(limiter.take(&acme, Kind::Write, 1000).await), (true, "redis"));
    // One more than Redis gives away is refused, by Redis and by whoever comes after it.
    assert_eq!(by(limiter.take(&acme, Kind::Write, 100).await), (false, "redis"));
    server.hack("kill");
    until("the local bucket decides", async || {
        let (allowed, by) = by(limiter.take(&acme, Kind::Write, 100).await);
        assert!(!allowed, "{by} allowed what was used up");
        by == "local"
    })
    .await;
    // Another gateway, which has never seen the organisation, is what an outage gives away.
    let other = Limiter::new(config(), None, &mut Registry::default());
    assert_eq!(by(other.take(&acme, Kind::Write, 100).await), (true, "local"));
}
