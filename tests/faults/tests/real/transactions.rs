//! The database ends transactions that collide with others.

use crate::support::{KeepLogs, TURN, assert_good, end, load, said};
use fault_tests::{fault::Fault, load::Clients, parts::Shape, run::System};
use std::time::Duration;

/// What PostgreSQL says for SQLSTATE 40P01.
pub(crate) const DEADLOCK: &str = "deadlock detected";
/// What PostgreSQL says for SQLSTATE 40001.
pub(crate) const SERIALIZATION_FAILURE: &str = "could not serialize access";

/// A flush that is ended by a deadlock or because it cannot be serialized is tried again as it is; a lock held for long is
/// waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_database_ends_is_done_once_all_the_same() {
    let _turn = TURN.lock().await;
    let system = System::start(Shape::of(3)).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let clients = Clients::start(&load(60, None), &system.urls);
    system.flows(&clients).await.unwrap();
    let time = Duration::from_secs(8);
    for fault in [Fault::LockPositions(time), Fault::Deadlock(time), Fault::FailSerialization(time)] {
        system.suffer(fault).await.unwrap();
        system.flows(&clients).await.unwrap();
    }
    for words in [DEADLOCK, SERIALIZATION_FAILURE] {
        let lines = said(&system.consumers, words);
        println!("{} lines of the consumers' logs say {words:?}", lines.len());
        assert!(!lines.is_empty(), "no flush was ended by: {words}");
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_ne!(system.parts.sql(deadlocks).await.unwrap(), ["0"], "the server knows of no deadlock");
    let acknowledged = clients.stop().await;
    assert_good(&system.verdict(&acknowledged).await.unwrap());
    end(system).await;
}
