//! Tables of an older version are brought forward with what they hold.

use crate::support::*;
use record::Timestamp;
use store::{Outbox, Outcome, Position, Query, Sink, postgres::Store};

/// As a program of version 1 leaves them: an event, its id, and letters that are tried again, given up and published.
const ROWS: &str = "
    CREATE TABLE logpipeline_migrations (version integer PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO logpipeline_migrations VALUES (1);
    INSERT INTO consumer_offsets VALUES
        ('00000000-0000-0000-0000-000000000007', 0, 100, 106, 3, 1, 3, 1, 0, 0),
        ('00000000-0000-0000-0000-000000000007', 1, 5, 5, 0, 0, 0, 0, 0, 0);
    INSERT INTO dead_letters (topic_id, partition, \"offset\", key, payload, reason, attempts, first_at, retry_at,
                              publication, published_at) VALUES
        ('00000000-0000-0000-0000-000000000007', 0, 100, 'acme', '123456', 'tried', 1, 5000000001, 9, NULL, NULL),
        ('00000000-0000-0000-0000-000000000007', 0, 101, 'acme', '12345', 'given up', 4, 6000000001, NULL, NULL, NULL),
        ('00000000-0000-0000-0000-000000000007', 0, 102, 'acme', '1234', 'published', 4, 7000000001, NULL, 1, 8);
    SELECT nextval('dead_letter_publications');";

#[tokio::test]
async fn tables_of_version_1_keep_their_rows_and_go_on() {
    let database = Database::empty().await;
    database.run(include_str!("../../migrations/0001_tables.sql")).await;
    database.run(ROWS).await;
    let known = event("acme", 1, "stored before");
    // The hash that goes with the id is FNV-1a of `acme`.
    let hash = "acme".bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let ids = format!("{}{hash:016x}", known.id.simple());
    let topic = of(0).topic;
    database.run(&format!("INSERT INTO recent_ids VALUES ('{topic}', 0, 106, '\\x{ids}')")).await;

    let store = Store::open(database.config()).unwrap();
    assert!(Sink::ready(&store).await.is_err(), "not before its migrations");
    store.migrate().await.unwrap();
    Sink::ready(&store).await.unwrap();
    let row = ledger_of(&store, of(0)).await;
    assert_eq!((row.start, row.next, row.stored, row.duplicates), (100, 106, 3, 1));
    assert_eq!((row.dead_lettered, row.retrying, row.is_balanced()), (3, 1, true));
    assert_eq!(store.ledger().await.unwrap().len(), 2);
    let bytes = database.number("SELECT letter_bytes FROM consumer_offsets WHERE partition = 0").await;
    assert_eq!(bytes, 10 + 9 + 8);
    let published = database.number("SELECT published_bytes FROM consumer_offsets WHERE partition = 0").await;
    assert_eq!(published, 8);
    // It was published long ago.
    assert_eq!(store.maintain(Timestamp::now()).await.unwrap().deleted_letters, 1);

    let position = store.positions(&[Position { of: of(0), next: 0 }]).await.unwrap();
    assert_eq!(position, [Position { of: of(0), next: 106 }]);
    let flushed = store.flush(rows(0, 106, vec![known, event("acme", 2, "new")])).await.unwrap();
    assert_eq!(flushed.duplicates, 1);
    let due = store.due_letters(at(9), 10).await.unwrap();
    assert_eq!((due.len(), due[0].offset, due[0].of), (1, 100, of(0)));
    assert!(store.settle(&due[0], Outcome::Dead { refusal: refusal("hopeless") }).await.unwrap());
    let publication = store.publication(10).await.unwrap().unwrap();
    let said: Vec<_> = publication
        .letters
        .iter()
        .map(|dead| (dead.offset, dead.timestamp_ms, dead.refusal.reason.as_str(), &dead.refusal.sqlstate))
        .collect();
    assert_eq!(said, [(100, 5_000, "hopeless", &None), (101, 6_000, "given up", &None)]);
}
