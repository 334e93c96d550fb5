//! A topic that loses records which were acknowledged and stored: nothing is stored twice, and nothing is passed over.

use crate::support::{KeepLogs, TURN, assert_good, end, load, said, wait_for};
use fault_tests::{
    load::{Clients, join},
    parts::Shape,
    run::System,
    verdict::settled,
};
use std::time::Duration;

/// Two copies of each record, and the one that is behind may lead.
const SHAPE: Shape = Shape {
    brokers: 3,
    copies: 2,
    settings: &[("unclean.leader.election.enable", "true")],
    consumer: &[],
    services: &[],
};
/// The copy that is away while more is acknowledged and stored.
const BEHIND: u8 = 1;
/// The copy that has all of it, and goes when the other comes back.
const AHEAD: u8 = 2;

/// An election of a leader that has not what its predecessor acknowledged. Offsets of records that are stored are those
/// of others from then on.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_unclean_election_an_epoch_begins_and_what_comes_is_stored_once() {
    let _turn = TURN.lock().await;
    let system = System::start(SHAPE).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let send = async |rounds| {
        let sent = Clients::start(&load(60, Some(rounds)), &system.urls).finish().await;
        settled(&system.parts, Duration::from_secs(120)).await.unwrap();
        sent
    };
    let mut acknowledged = send(20).await;
    system.parts.broker("kill", BEHIND).await.unwrap();
    acknowledged = join(acknowledged, send(20).await);
    system.parts.broker("kill", AHEAD).await.unwrap();
    system.parts.broker("start", BEHIND).await.unwrap();

    let begun = "SELECT partition FROM consumer_offsets WHERE epoch = 1";
    let truncated = wait_for("a new epoch begins", Duration::from_secs(120), async || {
        system.parts.sql(begun).await.ok().filter(|rows| !rows.is_empty())
    })
    .await;
    println!("partitions {truncated:?} lost their end");
    let sent = Clients::start(&load(60, Some(20)), &system.urls).finish().await;
    system.parts.broker("start", AHEAD).await.unwrap();
    acknowledged = join(acknowledged, sent);
    assert_good(&system.verdict(&acknowledged).await.unwrap());

    let told = said(&system.consumers, "the topic lost records that were acknowledged and stored");
    let epochs = system.parts.sql("SELECT count(*) FROM consumer_offsets WHERE epoch > 0").await.unwrap();
    assert_eq!(epochs, [told.len().to_string()], "each is told once:\n{}", told.join("\n"));
    end(system).await;
}
