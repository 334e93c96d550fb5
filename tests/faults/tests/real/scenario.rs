//! Everything that may break, once, while 200,000 events flow.

use crate::{
    network::LONGER_THAN_KAFKA_IS_WAITED_FOR,
    support::{KeepLogs, TURN, assert_good, end, said, shared_by},
    transactions::{DEADLOCK, SERIALIZATION_FAILURE},
};
use fault_tests::{
    fault::Fault,
    load::{Clients, Load},
    parts::Shape,
    run::System,
};
use std::time::{Duration, Instant};

const ORGANISATIONS: usize = 500;
const EVENTS: usize = 200_000;
const GARBAGE: usize = 50;
/// Longer than everything that waits for the database: an answer (6 s), a connection (5 s), and the server's own patience
/// with a silent client (20 s).
const LONGER_THAN_THE_DATABASE_IS_WAITED_FOR: Duration = Duration::from_secs(25);

/// What breaks, in this order; each time events flow again from end to end before the next.
fn faults() -> Vec<Fault> {
    let seconds = Duration::from_secs;
    vec![
        Fault::Garbage(GARBAGE),
        Fault::KillConsumer(0),
        Fault::KillProducer(0),
        Fault::Scale(1),
        Fault::Scale(3),
        Fault::Scale(2),
        Fault::StopDatabase(seconds(20)),
        Fault::KillBroker(2, seconds(15)),
        Fault::CutDatabase(seconds(5)),
        Fault::SwallowDatabase(LONGER_THAN_THE_DATABASE_IS_WAITED_FOR),
        Fault::CutKafka(seconds(5)),
        Fault::SwallowKafka(LONGER_THAN_KAFKA_IS_WAITED_FOR),
        Fault::Deadlock(seconds(6)),
        Fault::FailSerialization(seconds(6)),
        Fault::FreezeConsumer(1, seconds(15)),
    ]
}

/// 200,000 events of 500 organisations from eight clients, through all of it: each is stored once and in order, each
/// broken record is dead-lettered once, the ledger adds up, and no process needed help.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_may_break_loses_nothing_and_doubles_nothing() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    // So slow that the last events come after the last fault.
    let pause = Duration::from_millis(500);
    let rounds = EVENTS / ORGANISATIONS;
    let load = Load { clients: 8, organisations: ORGANISATIONS, events: Some(rounds), pause, padding: 0 };
    let clients = Clients::start(&load, &system.urls);
    system.flows(&clients).await.unwrap();
    let begun = Instant::now();
    for fault in faults() {
        println!("{:5.1} s {fault:?}", begun.elapsed().as_secs_f64());
        system.suffer(fault).await.unwrap();
        if let Fault::Scale(count) = fault {
            shared_by(&system, count).await;
        }
        system.flows(&clients).await.unwrap();
    }
    let acknowledged = clients.acknowledged();
    println!("{:5.1} s all is over, {acknowledged} are acknowledged", begun.elapsed().as_secs_f64());
    assert!(acknowledged < EVENTS, "the load ended before the faults did");
    clients.hurry();
    let verdict = system.verdict(&clients.finish().await).await.unwrap();
    println!("{:5.1} s all is settled", begun.elapsed().as_secs_f64());
    assert_good(&verdict);
    assert_eq!((verdict.acknowledged, verdict.stored, verdict.dead_lettered), (EVENTS, EVENTS, GARBAGE));
    for words in [DEADLOCK, SERIALIZATION_FAILURE] {
        assert!(!said(&system.consumers, words).is_empty(), "no flush was ended by: {words}");
    }
    end(system).await;
}
