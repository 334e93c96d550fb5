//! Events that come late, on a real PostgreSQL: `LOGPIPELINE_TEST_POSTGRES=$(hack/postgres.sh up)`. Two gateways, each with
//! a connection that hears of them, share answers in Redis.

use crate::{
    door::{Answer, Behind, Door},
    support::{connected, fresh, shared, until},
};
use gateway::limits::Config;
use record::{Level, LogRecord, Timestamp, Uuid};
use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    Flush, PartitionKey, Position, Sink,
    postgres::{self, Store},
};

/// What is asked for.
const PAST: &str = "/api/v1/logs?to=2020-01-01T00:00:00Z";
const TOLD: &str = "read_cache_invalidations_total{of=\"organization\"}";
const HIT: &str = "read_cache_requests_total{outcome=\"hit\"}";
const LISTENING: &str = "read_cache_hears_late_events";
/// How soon a late event is seen.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A database of its own, dropped at the end.
struct Database {
    server: String,
    name: String,
}

impl Database {
    fn new() -> Database {
        let server = std::env::var("LOGPIPELINE_TEST_POSTGRES").expect(
            "LOGPIPELINE_TEST_POSTGRES is the URL of a PostgreSQL whose user may make databases: \
             LOGPIPELINE_TEST_POSTGRES=$(hack/postgres.sh up)",
        );
        let name = format!("test_{}", Uuid::now_v7().simple());
        psql(&server, &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Database { server, name }
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    fn store(&self) -> Store {
        let config = postgres::Config { connections: 3, ..postgres::Config::new(self.url()) };
        Store::open(postgres::Config { days_back: 1, days_ahead: 1, ..config }).unwrap()
    }

    fn end_listeners(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')";
        assert_ne!(psql(&self.url(), sql), "0", "nobody listens");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn psql(url: &str, sql: &str) -> String {
    let arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"];
    let done = Command::new("psql").args(arguments).args(["--command", sql, url]).output().unwrap();
    assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// What a consumer stores, one event at a time.
struct Consumer {
    store: Store,
    next: i64,
}

impl Consumer {
    async fn store(&mut self, organization: &str, timestamp: Timestamp) {
        let of = PartitionKey { topic: Uuid::from_u128(7), partition: 0, epoch: 0 };
        self.store.positions(&[Position { of, next: 0 }]).await.unwrap();
        let rows = vec![LogRecord {
            id: Uuid::now_v7(),
            organization_id: organization.parse().unwrap(),
            timestamp,
            level: Level::Info,
            service: "shop".into(),
            message: "an event".into(),
            trace_id: None,
            span_id: None,
            attributes: None,
        }];
        let (expected, next) = (self.next, self.next + 1);
        self.next = next;
        self.store
            .flush(Flush { of, expected, next, rows, letters: vec![], skipped: 0, lost: 0 })
            .await
            .unwrap();
    }

    async fn store_late(&mut self, organization: &str) {
        self.store(organization, "2019-12-31T00:00:00Z".parse().unwrap()).await;
    }
}

async fn begin(database: &Database) -> Consumer {
    let store = database.store();
    store.migrate().await.unwrap();
    store.maintain(Timestamp::now()).await.unwrap();
    Consumer { store, next: 0 }
}

async fn gateway(database: &Database) -> Door {
    let behind = Behind::over(Arc::new(database.store()));
    let door = behind.door(Config::default(), Some(connected(&shared()).await));
    until("late events are heard of", async || door.metric(LISTENING) == 1.0).await;
    door
}

fn found(answer: &Answer) -> usize {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["logs"].as_array().unwrap().len()
}

fn is_kept(answer: &Answer) -> bool {
    let status = answer.header("cache-status");
    status.contains("hit") && !status.contains("ttl=-")
}

async fn until_kept(door: &Door, organization: &str) {
    until("the answer is kept", async || is_kept(&door.read(organization, PAST).await)).await;
}

/// Asks until there are so many events; answers how long that took.
async fn until_found(door: &Door, organization: &str, events: usize) -> Duration {
    let begun = Instant::now();
    until("the late event is found", async || found(&door.read(organization, PAST).await) == events).await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_is_seen_by_the_next_question_and_other_organisations_answers_stay() {
    let database = Database::new();
    let mut consumer = begin(&database).await;
    let doors = [gateway(&database).await, gateway(&database).await];
    let (acme, other) = (fresh("acme"), fresh("other"));
    for door in &doors {
        until_kept(door, &acme).await;
        until_kept(door, &other).await;
    }
    // What comes in time is told to nobody.
    consumer.store(&acme, Timestamp::now()).await;
    for round in 1..=3 {
        consumer.store_late(&acme).await;
        for door in &doors {
            let took = until_found(door, &acme, round).await;
            println!("a late event was seen after {took:?}");
            assert!(took < AT_ONCE, "a late event was seen after {took:?}");
            assert_eq!(door.metric(TOLD), round as f64);
            let hits = door.metric(HIT);
            assert!(is_kept(&door.read(&other, PAST).await), "another organisation's answer stays");
            assert_eq!(door.metric(HIT), hits + 1.0);
            until_kept(door, &acme).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_late_events_are_not_heard_of_no_answer_is_fresh_for_long() {
    let database = Database::new();
    let mut consumer = begin(&database).await;
    let door = gateway(&database).await;
    let acme = fresh("acme");
    until_kept(&door, &acme).await;
    for round in 1..=2 {
        until_kept(&door, &acme).await;
        database.end_listeners();
        until("the lost connection is known", async || door.metric(LISTENING) == 0.0).await;
        // Nobody hears of this one.
        consumer.store_late(&acme).await;
        let took = until_found(&door, &acme, round).await;
        println!("an event that nobody heard of was seen after {took:?}");
        // As long as an answer about the present is given again, and the pause before connecting anew is no shorter.
        assert!(took < AT_ONCE * 2, "an event that nobody heard of was seen after {took:?}");
        until("late events are heard of again", async || door.metric(LISTENING) == 1.0).await;
    }
    assert_eq!(door.metric(TOLD), 0.0);
    until_kept(&door, &acme).await;
    consumer.store_late(&acme).await;
    assert!(until_found(&door, &acme, 3).await < AT_ONCE);
    assert_eq!(door.metric(TOLD), 1.0);
}
