//! What the store refuses, and what it cannot do as it is configured.

use crate::support::*;
use store::{
    Flush, FlushError, Query, QueryError, Refusal, Sink, SinkError, postgres::Config, postgres::Store,
};

#[tokio::test]
async fn broken_data_is_refused_by_the_name_of_its_field_and_harms_no_later_flush() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    match store.flush(rows(0, 0, vec![event("acme", 1, "good"), event("acme", 2, "nul \0")])).await {
        Err(FlushError::Refused(Refusal { reason, sqlstate: None })) => {
            assert!(reason.contains("message contains U+0000"), "{reason}");
        }
        other => panic!("expected Refused, came {other:?}"),
    }
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 0);
    store.flush(rows(0, 0, vec![event("acme", 1, "good")])).await.unwrap();
    assert_eq!(messages(&store, "acme").await, ["good"]);
}

/// As one that somebody adds to the table, or a rule of the server that we do not know.
#[tokio::test]
async fn what_the_server_refuses_in_the_middle_of_the_rows_is_refused_with_its_place() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    database.run("ALTER TABLE logs ADD CONSTRAINT no_shouting CHECK (message <> 'LOUD')").await;
    let mut events: Vec<_> = (0..5_000).map(|n| event("acme", n, "quiet")).collect();
    events[1_234].message = "LOUD".into();
    match store.flush(rows(0, 0, events.clone())).await {
        Err(FlushError::Refused(Refusal { reason, sqlstate: Some(code) })) => {
            assert_eq!(code, "23514");
            assert!(reason.contains("no_shouting") && reason.contains("line 1235"), "{reason}");
        }
        other => panic!("expected Refused, came {other:?}"),
    }
    events.remove(1_234);
    store.flush(rows(0, 0, events)).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM logs").await, 4_999);
}

#[tokio::test]
async fn a_flush_that_does_not_add_up_is_refused() {
    let (_database, store) = store().await;
    begin(&store, 1).await;
    let flush = Flush { next: 5, ..rows(0, 0, vec![event("acme", 1, "one")]) };
    match store.flush(flush).await {
        Err(FlushError::Refused(refusal)) => assert!(refusal.reason.contains("ledger_balances"), "{refusal}"),
        other => panic!("expected Refused, came {other:?}"),
    }
}

/// Each holds the partitions and dead-letters nothing, makes the process not ready, and says what to do.
#[tokio::test]
async fn a_wrong_configuration_is_an_outage_that_says_what_to_do() {
    let database = Database::empty().await;
    let url = database.url();
    let (_, place) = url.rsplit_once('@').unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    let table = [
        (format!("postgres://logpipeline:wrong-s3cret@{place}"), "correct it in the database's URL"),
        (format!("postgres://nobody:wrong-s3cret@{place}"), "URL"),
        (format!("{server}/no_such_database"), "does not exist: create it"),
        (url.clone(), "run the migrations"),
    ];
    for (url, advice) in table {
        let store = Store::open(Config { url, ..database.config() }).unwrap();
        let reasons = [
            match store.flush(rows(0, 0, vec![event("acme", 1, "m")])).await {
                Err(FlushError::Outage(reason)) => reason,
                other => panic!("expected an outage, came {other:?}"),
            },
            match Sink::ready(&store).await {
                Err(SinkError(reason)) => reason,
                Ok(()) => panic!("ready, but {advice}"),
            },
            match Query::ready(&store).await {
                Err(QueryError::Unavailable(reason)) => reason,
                other => panic!("ready, but {advice}: {other:?}"),
            },
        ];
        for reason in reasons {
            assert!(reason.contains(advice) && !reason.contains("s3cret"), "{reason}");
        }
    }
}

#[tokio::test]
async fn tables_that_are_missing_stop_nothing_for_ever() {
    let database = Database::empty().await;
    let early = Store::open(database.config()).unwrap();
    assert!(early.flush(rows(0, 0, vec![])).await.is_err());
    open(database.config()).await;
    begin(&early, 1).await;
    early.flush(rows(0, 0, vec![event("acme", 1, "m")])).await.unwrap();
    Sink::ready(&early).await.unwrap();
    Query::ready(&early).await.unwrap();
}

#[tokio::test]
async fn a_server_that_only_reads_is_not_ready_for_writing_and_holds() {
    let (database, store) = store().await;
    begin(&store, 1).await;
    let name = database.url().rsplit_once('/').unwrap().1.to_owned();
    database.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let store = Store::open(database.config()).unwrap();
    match store.flush(rows(0, 0, vec![event("acme", 1, "m")])).await {
        Err(FlushError::Outage(reason)) => assert!(reason.contains("only reads"), "{reason}"),
        other => panic!("expected an outage, came {other:?}"),
    }
    assert!(Sink::ready(&store).await.is_err());
    Query::ready(&store).await.unwrap();
}
