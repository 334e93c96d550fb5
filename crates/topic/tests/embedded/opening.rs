//! Opening: what is kept, and what is refused with a clear error.

use crate::support::*;
use topic::embedded::{Config, OpenError, Topic};

fn config(partitions: u32) -> Config {
    Config { partitions, ..Config::default() }
}

fn refused(place: &Place, config: Config) -> OpenError {
    Topic::open(&place.path(), config).err().expect("an error")
}

#[tokio::test]
async fn identity_records_and_offsets_outlive_the_process() {
    let place = Place::new();
    let topic = place.open();
    let id = topic.id();
    append(&*topic.writer(), numbered("org-1", 10)).await;
    let offsets = topic.viewer().offsets().await.unwrap();
    within(topic.close()).await;
    let topic = place.open();
    assert_eq!(topic.id(), id);
    assert_eq!(topic.viewer().offsets().await.unwrap(), offsets);
    append(&*topic.writer(), numbered("org-1", 10)).await;
    let mut reader = reader_from(&topic, 0).await;
    assert_eq!(read(&mut *reader, 20).await.len(), 1, "one key, one partition");
    assert_ne!(Place::new().open().id(), id, "another file is another topic");
}

#[tokio::test]
async fn partitions_grow_and_never_shrink() {
    let place = Place::new();
    within(place.open_with(config(3)).close()).await;
    assert!(matches!(refused(&place, config(2)), OpenError::FewerPartitions { stored: 3, asked: 2 }));
    let topic = place.open_with(config(8));
    let offsets = topic.viewer().offsets().await.unwrap();
    assert_eq!(
        offsets.iter().map(|offsets| offsets.partition).collect::<Vec<_>>(),
        (0..8).collect::<Vec<_>>()
    );
    let records = (0..200).map(|n| record(&n.to_string(), "x")).collect();
    append(&*topic.writer(), records).await;
    let mut reader = reader_from(&topic, 0).await;
    assert_eq!(read(&mut *reader, 200).await.len(), 8);
    drop(topic);
    for partitions in [0, 1025] {
        assert!(
            matches!(refused(&Place::new(), config(partitions)), OpenError::PartitionCount(n) if n == partitions)
        );
    }
}

#[tokio::test]
async fn a_topic_in_use_cannot_be_opened_again() {
    let place = Place::new();
    let topic = place.open();
    let error = refused(&place, config(6)).to_string();
    assert!(error.starts_with("data directory in use by another logpipeline"), "{error}");
    within(topic.close()).await;
    within(place.open().close()).await;
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let place = Place::new();
    let other = rusqlite::Connection::open(place.path()).unwrap();
    other.execute_batch("CREATE TABLE precious (thing); INSERT INTO precious VALUES (1)").unwrap();
    assert!(matches!(refused(&place, config(6)), OpenError::NotATopic(_)));
    let things: i64 = other.query_row("SELECT count(*) FROM precious", [], |row| row.get(0)).unwrap();
    assert_eq!(things, 1);

    let place = Place::new();
    std::fs::write(
        place.path(),
        "this is not a database, it is a text of more than a hundred bytes".repeat(9),
    )
    .unwrap();
    assert!(matches!(refused(&place, config(6)), OpenError::Sqlite(_)));

    let place = Place::new();
    within(place.open().close()).await;
    rusqlite::Connection::open(place.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refused(&place, config(6)), OpenError::NotATopic(_)), "of a later version");
}
