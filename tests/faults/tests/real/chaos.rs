//! Faults as a seed says, consumers that stand still, and records that are no events.

use crate::support::{KeepLogs, TURN, assert_good, end, load, said};
use fault_tests::{
    fault::Fault,
    load::Clients,
    parts::Shape,
    run::{System, chaos},
};
use std::{sync::Arc, time::Duration};

/// Kills, rebalances, outages of brokers, database and network, as the seed says.
#[tokio::test(flavor = "multi_thread")]
async fn random_faults_lose_nothing_and_double_nothing() {
    assert_good_with(20, Duration::from_secs(45)).await;
}

/// A broker that cannot be reached when the partitions are assigned for the first time: the ledger began 1001 offsets before
/// the topic once, because librdkafka's sign of an offset that is none was taken for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_cuts_the_network_at_the_start_is_good() {
    assert_good_with(13, Duration::from_secs(30)).await;
}

async fn assert_good_with(seed: u64, run_for: Duration) {
    let _turn = TURN.lock().await;
    let system = Arc::new(System::start(Shape::of(3)).await.unwrap());
    let _logs = KeepLogs::of(&system);
    let say = |line: String| println!("{line}");
    let verdict = chaos(Arc::clone(&system), seed, run_for, &load(100, None), say).await.unwrap();
    assert!(verdict.acknowledged > 1_000, "the faults left no time for anything: {verdict}");
    assert_good(&verdict);
    end(Arc::into_inner(system).unwrap()).await;
}

/// Every consumer in turn stands still until the others have its partitions, and then goes on with what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_stores_nothing_twice() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let clients = Clients::start(&load(60, None), &system.urls);
    for number in 0..system.consumers.len() {
        system.suffer(Fault::FreezeConsumer(number, Duration::from_secs(15))).await.unwrap();
    }
    let acknowledged = clients.stop().await;
    assert_good(&system.verdict(&acknowledged).await.unwrap());
    end(system).await;
}

/// A thousand broken records among good ones: each is published once as a dead letter, byte for byte, and none of the
/// good ones is touched.
#[tokio::test(flavor = "multi_thread")]
async fn broken_records_are_dead_lettered_once_each_and_hold_up_nobody() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let clients = Clients::start(&load(100, Some(100)), &system.urls);
    for _ in 0..10 {
        system.suffer(Fault::Garbage(100)).await.unwrap();
    }
    let acknowledged = clients.finish().await;
    let verdict = system.verdict(&acknowledged).await.unwrap();
    assert_eq!((verdict.stored, verdict.dead_lettered), (10_000, 1_000));
    let opened = said(&system.consumers, "the breaker of the store is open");
    assert!(opened.is_empty(), "broken records are no outage: {opened:?}");
    assert_good(&verdict);
    end(system).await;
}
