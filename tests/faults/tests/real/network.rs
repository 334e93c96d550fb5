//! The network to Kafka breaks: all of it, and to one broker.

use crate::support::{KeepLogs, TURN, assert_good, end, load};
use fault_tests::{fault::Fault, load::Clients, parts::Shape, run::System};
use std::time::Duration;

/// Longer than everything that waits for Kafka: a session (10 s), an answer (10 s), an acknowledgement of a request
/// (20 s), of a record (30 s).
pub(crate) const LONGER_THAN_KAFKA_IS_WAITED_FOR: Duration = Duration::from_secs(42);

async fn suffer_and_flow(system: &System, clients: &Clients, fault: Fault) {
    println!("{fault:?}");
    system.suffer(fault).await.unwrap();
    system.flows(clients).await.unwrap();
}

/// Brokers that cannot be reached, then brokers that are silent for longer than anybody waits: producers and consumers go
/// on by themselves when the network is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_network_to_kafka_loses_and_doubles_nothing() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let clients = Clients::start(&load(60, None), &system.urls);
    system.flows(&clients).await.unwrap();
    suffer_and_flow(&system, &clients, Fault::CutKafka(Duration::from_secs(10))).await;
    suffer_and_flow(&system, &clients, Fault::SwallowKafka(LONGER_THAN_KAFKA_IS_WAITED_FOR)).await;
    let acknowledged = clients.stop().await;
    assert_good(&system.verdict(&acknowledged).await.unwrap());
    end(system).await;
}

/// Each broker in turn is cut off from the services and not from its fellows, so that it goes on to lead its partitions.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_only_its_fellows_reach_loses_and_doubles_nothing() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let clients = Clients::start(&load(60, None), &system.urls);
    system.flows(&clients).await.unwrap();
    for number in 1..=3 {
        suffer_and_flow(&system, &clients, Fault::CutBroker(number, Duration::from_secs(8))).await;
        suffer_and_flow(&system, &clients, Fault::SwallowBroker(number, Duration::from_secs(15))).await;
    }
    let acknowledged = clients.stop().await;
    assert_good(&system.verdict(&acknowledged).await.unwrap());
    end(system).await;
}
