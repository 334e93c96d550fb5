//! Servers that end, freeze and cannot be reached, at the worst moment.

use crate::{
    proxy::{Fault, Proxy},
    support::*,
};
use std::time::{Duration, Instant};
use store::{FlushError, Flushed, Query, QueryError, Sink, postgres::Config, postgres::Store};

/// The first bytes of the rows of a flush.
const ROWS: &[u8] = b"PGCOPY\n";
const COMMIT: &[u8] = b"COMMIT";

/// Whether no transaction holds a row of the positions.
const UNLOCKED: &str = "SELECT (count(*) = 0)::int::bigint FROM pg_locks JOIN pg_database ON oid = database
     WHERE datname = current_database() AND relation = 'consumer_offsets'::regclass";

fn outage(outcome: Result<Flushed, FlushError>) -> String {
    match outcome {
        Err(FlushError::Outage(reason)) => reason,
        other => panic!("expected an outage, came {other:?}"),
    }
}

async fn behind_proxy(change: impl FnOnce(Config) -> Config) -> (Database, Proxy, Store) {
    let database = Database::empty().await;
    let proxy = Proxy::before(&database.url()).await;
    let config = Config { url: proxy.url(&database.url()), ..database.config() };
    let store = open(change(config)).await;
    begin(&store, 1).await;
    (database, proxy, store)
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_a_flush_stores_it_whole_when_it_is_back() {
    let server = Server::start();
    let database = Database::on(&server.url).await;
    let proxy = Proxy::before(&database.url()).await;
    let store = open(Config { url: proxy.url(&database.url()), ..database.config() }).await;
    begin(&store, 1).await;
    store.flush(rows(0, 0, vec![event("acme", 1, "before")])).await.unwrap();

    proxy.arm(Fault::Swallow(ROWS));
    let flush = || rows(0, 1, (0..3_000).map(|n| event("acme", n, "in the middle")).collect());
    let flushing = tokio::spawn({
        let (store, flush) = (store.clone(), flush());
        async move { store.flush(flush).await }
    });
    proxy.happened(1).await;
    server.script("kill");
    outage(flushing.await.unwrap());
    let while_away =
        Store::open(Config { acquire_timeout: Duration::from_millis(300), ..database.config() }).unwrap();
    let reason = outage(while_away.flush(flush()).await);
    assert!(reason.contains("look whether the server runs"), "{reason}");
    assert!(matches!(while_away.ledger().await, Err(QueryError::Unavailable(_))));

    server.script("up");
    store.flush(flush()).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 3_001);
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.next, row.stored, row.is_balanced()), (3_001, 3_001, true));
}

#[tokio::test]
async fn a_frozen_server_is_an_outage_after_a_bounded_time_and_goes_on_when_it_thaws() {
    let server = Server::start();
    let database = Database::on(&server.url).await;
    let limit = Duration::from_millis(700);
    let store = open(Config { answer_timeout: limit, acquire_timeout: limit, ..database.config() }).await;
    begin(&store, 1).await;
    server.script("stop");
    let began = Instant::now();
    let reason = outage(store.flush(rows(0, 0, vec![event("acme", 1, "frozen")])).await);
    assert!(began.elapsed() < limit * 4, "it took {:?}", began.elapsed());
    assert!(reason.contains("within"), "{reason}");
    server.script("cont");
    // What the frozen server had in its hands may come to its end now; either way it is there once.
    loop {
        match store.flush(rows(0, 0, vec![event("acme", 1, "frozen")])).await {
            Ok(_) | Err(FlushError::Moved { found: 1, .. }) => break,
            Err(FlushError::Outage(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(messages(&store, "acme").await, ["frozen"]);
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_nothing_is_stored_by_halves() {
    let limit = Duration::from_millis(700);
    let (database, proxy, store) = behind_proxy(|config| Config { answer_timeout: limit, ..config }).await;
    for (expected, happened, needle) in [(0, 1, ROWS), (500, 2, COMMIT)] {
        let flush = || rows(0, expected, (0..500).map(|n| event("acme", n, "swallowed")).collect());
        let began = Instant::now();
        proxy.arm(Fault::Swallow(needle));
        let reason = outage(store.flush(flush()).await);
        proxy.happened(happened).await;
        assert!(reason.contains("no answer within 700ms"), "{reason}");
        assert!(began.elapsed() < limit * 4, "it took {:?}", began.elapsed());
        // The server still waits for the rest and holds the position; it cannot know that nobody will send it.
        proxy.cut();
        database.until(UNLOCKED).await;
        store.flush(flush()).await.unwrap();
        assert_eq!(ledger_of(&store, of(0)).await.next, expected + 500);
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 1_000);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_recognised() {
    let limit = Duration::from_millis(700);
    for fault in [Fault::CutAfter(COMMIT), Fault::LoseAnswer(COMMIT)] {
        let (database, proxy, store) =
            behind_proxy(|config| Config { answer_timeout: limit, ..config }).await;
        let flush = || rows(0, 0, vec![event("acme", 1, "one"), event("acme", 2, "two")]);
        proxy.arm(fault);
        outage(store.flush(flush()).await);
        match store.flush(flush()).await {
            Err(FlushError::Moved { expected: 0, found: 2, .. }) => {}
            other => panic!("expected that {fault:?} was committed, came {other:?}"),
        }
        assert_eq!(database.number("SELECT count(*) FROM logs").await, 2);
        store.flush(rows(0, 2, vec![event("acme", 3, "three")])).await.unwrap();
        assert_eq!(messages(&store, "acme").await, ["three", "two", "one"]);
    }
}

#[tokio::test]
async fn a_flush_that_is_given_up_by_its_caller_leaves_nothing_behind() {
    let (database, proxy, store) = behind_proxy(|config| config).await;
    proxy.arm(Fault::Swallow(ROWS));
    let flush = || rows(0, 0, (0..500).map(|n| event("acme", n, "given up")).collect());
    let flushing = tokio::spawn({
        let (store, flush) = (store.clone(), flush());
        async move { store.flush(flush).await }
    });
    proxy.happened(1).await;
    flushing.abort();
    assert!(flushing.await.unwrap_err().is_cancelled());
    // Its connection is closed, not given to the next: that one waits until the server has rolled back.
    store.flush(flush()).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 500);
}

/// The other transaction takes what the letters need first, then wants the position that the flush holds.
#[tokio::test]
async fn a_deadlock_is_an_outage_and_the_next_try_succeeds() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE dead_letters IN SHARE MODE").execute(&mut other).await.unwrap();
    let flush = || letters(0, 0, vec![letter(0, 0)]);
    let flushing = tokio::spawn({
        let store = store.clone();
        let flush = flush();
        async move { store.flush(flush).await }
    });
    database.until(WAITING).await;
    let wanted = sqlx::raw_sql("UPDATE consumer_offsets SET lost = lost").execute(&mut other);
    let (flushed, wanted) = tokio::join!(flushing, wanted);
    let reason = outage(flushed.unwrap());
    assert!(reason.contains("deadlock"), "{reason}");
    wanted.unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.flush(flush()).await.unwrap();
    assert!(ledger_of(&store, of(0)).await.is_balanced());
}

#[tokio::test]
async fn a_serialization_failure_is_an_outage_and_the_next_try_succeeds() {
    let database = Database::empty().await;
    let name = database.url().rsplit_once('/').unwrap().1.to_owned();
    database
        .run(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"))
        .await;
    let store = open(database.config()).await;
    begin(&store, 1).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; UPDATE consumer_offsets SET lost = lost").execute(&mut other).await.unwrap();
    let flush = || rows(0, 0, vec![event("acme", 1, "once")]);
    let flushing = tokio::spawn({
        let store = store.clone();
        let flush = flush();
        async move { store.flush(flush).await }
    });
    database.until(WAITING).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let reason = outage(flushing.await.unwrap());
    assert!(reason.contains("serialize"), "{reason}");
    store.flush(flush()).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["once"]);
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_an_outage() {
    let database = Database::empty().await;
    let store = open(Config { lock_timeout: Duration::from_millis(100), ..database.config() }).await;
    begin(&store, 1).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE logs").execute(&mut other).await.unwrap();
    let flush = || rows(0, 0, vec![event("acme", 1, "once")]);
    let reason = outage(store.flush(flush()).await);
    assert!(reason.contains("holds a lock"), "{reason}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.flush(flush()).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["once"]);
}

#[tokio::test]
async fn a_pool_that_is_used_up_says_so() {
    let database = Database::empty().await;
    let limit = Duration::from_millis(200);
    let store = open(Config { connections: 1, acquire_timeout: limit, ..database.config() }).await;
    begin(&store, 1).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; UPDATE consumer_offsets SET lost = lost").execute(&mut other).await.unwrap();
    let holding = tokio::spawn({
        let store = store.clone();
        async move { store.flush(rows(0, 0, vec![event("acme", 1, "holding")])).await }
    });
    database.until(WAITING).await;
    let reason = outage(store.flush(rows(0, 0, vec![])).await);
    assert!(reason.contains("all 1 connections were in use"), "{reason}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    holding.await.unwrap().unwrap();
}
