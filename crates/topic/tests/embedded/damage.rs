//! A damaged file is an error that says where, never a panic, never silence; what is whole is still read.

use crate::support::*;
use rusqlite::{Connection, params};

/// A topic with three batches of ten in partition 2 and one in partition 4, and a connection to its file.
async fn damaged(statement: &str) -> (Place, topic::embedded::Topic) {
    let place = Place::new();
    let topic = place.open();
    for partition in [2, 2, 2, 4] {
        append(&*topic.writer(), numbered(&key_of(partition), 10)).await;
    }
    within(topic.close()).await;
    let changed = Connection::open(place.path()).unwrap().execute(statement, []).unwrap();
    assert_eq!(changed, 1);
    let topic = place.open();
    (place, topic)
}

/// What comes until both partitions were asked twice: offsets of partition 2, of partition 4, and errors.
async fn read_on(topic: &topic::embedded::Topic) -> (Vec<i64>, Vec<i64>, Vec<String>) {
    let mut reader = reader_from(topic, 0).await;
    let (mut two, mut four, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    while errors.len() < 2 || four.is_empty() {
        match next(&mut *reader).await {
            Ok(topic::Event::Records(batch)) if batch.partition == 2 => two.extend(offsets(&batch.records)),
            Ok(topic::Event::Records(batch)) => four.extend(offsets(&batch.records)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => errors.push(error.to_string()),
        }
    }
    (two, four, errors)
}

async fn expect_error_at_ten(statement: &str, detail: &str) {
    let (_place, topic) = damaged(statement).await;
    let (two, four, errors) = read_on(&topic).await;
    assert_eq!(two, (0..10).collect::<Vec<_>>(), "what comes before is read, once");
    assert_eq!(four, (0..10).collect::<Vec<_>>(), "another partition is not held up");
    for error in errors {
        assert!(
            error.contains("partition 2") && error.contains("offset 10") && error.contains(detail),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_flipped_bit() {
    let flip = "UPDATE batches SET records =
        CAST(substr(records, 1, 60) || x'ff' || substr(records, 62) AS BLOB) WHERE partition = 2 AND base_offset = 10";
    expect_error_at_ten(flip, "checksum").await;
}

#[tokio::test]
async fn a_blob_cut_short() {
    let cut = "UPDATE batches SET records = substr(records, 1, 40) WHERE partition = 2 AND base_offset = 10";
    expect_error_at_ten(cut, "checksum").await;
    let empty = "UPDATE batches SET records = x'' WHERE partition = 2 AND base_offset = 10";
    expect_error_at_ten(empty, "ends before").await;
}

#[tokio::test]
async fn a_format_of_the_future() {
    let future = "UPDATE batches SET records = CAST(x'07' || substr(records, 2) AS BLOB)
        WHERE partition = 2 AND base_offset = 10";
    expect_error_at_ten(future, "version 7").await;
}

#[tokio::test]
async fn a_batch_that_is_gone() {
    expect_error_at_ten("DELETE FROM batches WHERE partition = 2 AND base_offset = 10", "missing").await;
}

#[tokio::test]
async fn a_reader_may_be_told_to_go_on_behind_the_damage() {
    let (place, topic) = damaged("DELETE FROM batches WHERE partition = 2 AND base_offset = 10").await;
    let mut reader = reader_from(&topic, 20).await;
    assert_eq!(offsets(&batch(&mut *reader).await.records), (20..30).collect::<Vec<_>>());
    let connection = Connection::open(place.path()).unwrap();
    let rows: i64 = connection
        .query_row("SELECT count(*) FROM batches WHERE partition = ?", params![2], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 2);
}
