//! Late events are told when they are committed, to whoever listens, and whoever cannot listen knows it.

use crate::{
    proxy::{Fault, Proxy},
    support::*,
};
use record::{LogRecord, Timestamp};
use std::time::{Duration, Instant};
use store::{
    FlushError, LateEvents, LateNews, Outcome, Query, SETTLED, Sink,
    postgres::{Config, Store},
};
use tokio::{net::TcpListener, time::timeout};

const SOON: Duration = Duration::from_secs(10);
/// The connection that listens, and not those of the pool.
const LISTENING: &str = "datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')";

fn late(organization: &str) -> LogRecord {
    let settled = i64::try_from(SETTLED.as_nanos()).unwrap();
    event(organization, Timestamp::now().as_nanos() - settled, "late")
}

fn of(organization: &str) -> LateNews {
    LateNews::Of(vec![organization.parse().unwrap()])
}

async fn next(heard: &mut Box<dyn LateEvents>) -> LateNews {
    timeout(SOON, heard.next()).await.expect("news within 10 s")
}

async fn listening(store: &Store) -> Box<dyn LateEvents> {
    let mut heard = store.late_events();
    assert_eq!(next(&mut heard).await, LateNews::Listening);
    heard
}

#[tokio::test]
async fn what_is_committed_late_is_told_to_all_who_listen_and_nothing_else_is() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let (mut first, mut second) = (listening(&store).await, listening(&store).await);
    store.flush(rows(0, 0, vec![event("in-time", Timestamp::now().as_nanos(), "now")])).await.unwrap();
    let moved = store.flush(rows(0, 0, vec![late("moved")])).await;
    assert!(matches!(moved, Err(FlushError::Moved { .. })), "{moved:?}");
    store.flush(rows(0, 1, vec![late("acme"), late("acme")])).await.unwrap();
    for heard in [&mut first, &mut second] {
        assert_eq!(next(heard).await, of("acme"));
    }

    store.flush(letters(0, 3, vec![letter(3, 0)])).await.unwrap();
    let letter = store.due_letters(Timestamp::now(), 1).await.unwrap().remove(0);
    store.settle(&letter, Outcome::Stored(Box::new(late("retried")))).await.unwrap();
    assert_eq!(next(&mut first).await, of("retried"));

    let many: Vec<_> = (0..100).map(|number| late(&format!("{number:0>100}"))).collect();
    store.flush(rows(0, 4, many)).await.unwrap();
    assert_eq!(next(&mut first).await, LateNews::OfAny);
}

#[tokio::test]
async fn a_connection_that_is_ended_is_known_to_be_lost_and_made_again() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let mut heard = listening(&store).await;
    for round in 0..2 {
        let ended =
            format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {LISTENING}");
        assert_eq!(database.number(&ended).await, 1);
        assert_eq!(next(&mut heard).await, LateNews::Lost);
        assert_eq!(next(&mut heard).await, LateNews::Listening);
        store.flush(rows(0, round, vec![late("acme")])).await.unwrap();
        assert_eq!(next(&mut heard).await, of("acme"));
    }
}

/// A network that swallows everything looks like a time without late events.
#[tokio::test]
async fn a_connection_that_is_silent_for_ever_is_known_to_be_lost() {
    let database = Database::empty().await;
    let proxy = Proxy::before(&database.url()).await;
    let store = open(Config { url: proxy.url(&database.url()), ..database.config() }).await;
    let mut heard = listening(&store).await;
    proxy.arm(Fault::Swallow(b"SELECT 1"));
    assert_eq!(next(&mut heard).await, LateNews::Lost);
    assert_eq!(next(&mut heard).await, LateNews::Listening);
}

/// A server that takes connections and ends them at once.
#[tokio::test]
async fn a_database_that_is_away_is_looked_for_once_a_second() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://me:secret@{}/logs", port.local_addr().unwrap());
    let mut heard = Store::open(Config::new(url)).unwrap().late_events();
    let following = tokio::spawn(async move { heard.next().await });
    let mut came = Vec::new();
    while came.len() < 4 {
        drop(timeout(SOON, port.accept()).await.expect("it goes on trying").unwrap());
        came.push(Instant::now());
    }
    following.abort();
    for pair in came.windows(2) {
        let between = pair[1] - pair[0];
        assert!(between > Duration::from_millis(900), "tried again after {between:?}");
    }
}
