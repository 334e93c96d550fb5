//! What is appended is there, where its key says, and each record has its verdict.

use crate::support::*;
use bytes::Bytes;
use std::time::{Duration, Instant};
use topic::{AppendError, NewRecord, partition_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_lie_in_the_partition_of_their_key_in_order() {
    let place = Place::new("order").await;
    let writer = place.writer();
    let keys: Vec<String> = (0..40).map(|n| format!("organisation-{n}")).collect();
    for round in 0..5 {
        let records = (0..400).map(|n| record(&keys[n % keys.len()], format!("{}", round * 400 + n)));
        append(&*writer, records.collect()).await;
    }
    let mut reader = place.reader_from(0).await;
    for (partition, records) in read(&mut *reader, 2_000).await {
        for key in &keys {
            let of_key = |record: &&topic::Record| record.key == key.as_bytes();
            let numbers: Vec<usize> = records
                .iter()
                .filter(of_key)
                .map(|record| String::from_utf8_lossy(&record.payload).parse().unwrap())
                .collect();
            let expected = partition_of(key.as_bytes(), 6) == partition;
            assert_eq!(numbers.len(), if expected { 50 } else { 0 }, "{key} in {partition}");
            assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_payload_and_time_come_back() {
    let place = Place::new("headers").await;
    let begun = milliseconds();
    let headers =
        vec![("traceparent".to_owned(), Bytes::from_static(b"00-abc")), ("empty".to_owned(), Bytes::new())];
    let appended = NewRecord { key: "acme".into(), payload: vec![0, 255, 10].into(), headers };
    append(&*place.writer(), vec![appended.clone(), record("acme", "")]).await;
    let mut reader = place.reader_from(0).await;
    let read = read(&mut *reader, 2).await.remove(&partition_of(b"acme", 6)).unwrap();
    assert_eq!((&read[0].key, &read[0].payload), (&appended.key, &appended.payload));
    assert_eq!(read[0].headers, appended.headers);
    assert_eq!((read[1].key.as_ref(), read[1].payload.as_ref()), (&b"acme"[..], &b""[..]));
    assert_eq!(read[1].headers, []);
    assert!((begun..=milliseconds()).contains(&read[0].timestamp_ms), "{}", read[0].timestamp_ms);
}

fn milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_too_large_harms_only_itself() {
    let place = Place::with("large", |config| config.writer.max_record_bytes = 1_000).await;
    let records = ["a", "b", "c"].map(|key| record(key, vec![b'x'; if key == "b" { 1_000 } else { 999 }]));
    let failures = within(place.writer().append(records.into())).await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].index, 1);
    assert_eq!(failures[0].error, AppendError::TooLarge { size: 1_001, limit: 1_000 });
    let mut reader = place.reader_from(0).await;
    read(&mut *reader, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_brokers_refuse_is_named() {
    let config = config("refused");
    make(&config, &[("max.message.bytes", "2000")]).await;
    let topic = topic::kafka::Topic::new(config, topic::kafka::Metrics::default()).unwrap();
    // Too random to be compressed; each in a partition of its own.
    let noise: Vec<u8> = (0..5_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let records = vec![record(&key_of(0), "small"), record(&key_of(1), noise), record(&key_of(2), "small")];
    let failures = within(topic.writer().unwrap().append(records)).await;
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1]);
    assert!(!failures[0].error.is_retryable(), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_topic_there_is_an_answer_in_time() {
    let mut config = config("missing");
    config.writer.acknowledged_within = Duration::from_secs(3);
    let topic = topic::kafka::Topic::new(config, topic::kafka::Metrics::default()).unwrap();
    let writer = topic.writer().unwrap();
    let begun = Instant::now();
    let failures = within(writer.append(numbered("acme", 3))).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(failures.iter().all(|failure| failure.error.is_retryable()), "{failures:?}");
    assert!(matches!(within(writer.ready()).await, Err(AppendError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_are_answered_each() {
    let place = Place::new("requests").await;
    let writer = place.writer();
    within(writer.ready()).await.unwrap();
    let requests = (0..200).map(|n| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.append(numbered(&format!("org-{n}"), n % 7)).await })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(within(request).await.unwrap(), []);
    }
    let mut reader = place.reader_from(0).await;
    read(&mut *reader, (0..200).map(|n| n % 7).sum()).await;
}
