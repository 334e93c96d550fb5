//! What is acknowledged, what is refused, and that closing answers all that was accepted.

use crate::support::*;
use bytes::Bytes;
use topic::embedded::Config;
use topic::{AppendError, Failure, NewRecord};

#[tokio::test]
async fn what_is_appended_comes_back_as_it_was() {
    let place = Place::new();
    let topic = place.open();
    let headers = vec![("traceparent".to_owned(), Bytes::from("00-1")), (String::new(), Bytes::new())];
    let new = NewRecord { key: Bytes::from("org-1"), payload: Bytes::from("{}"), headers: headers.clone() };
    append(&*topic.writer(), vec![new, record("", "")]).await;
    let mut reader = reader_from(&topic, 0).await;
    let read = read(&mut *reader, 2).await;
    let mut records: Vec<_> = read.into_values().flatten().collect();
    records.sort_by_key(|record| record.key.len());
    assert_eq!(
        (&records[0].key[..], &records[0].payload[..], records[0].headers.len()),
        (&b""[..], &b""[..], 0)
    );
    assert_eq!((&records[1].key[..], &records[1].payload[..]), (&b"org-1"[..], &b"{}"[..]));
    assert_eq!(records[1].headers, headers);
    assert!(records[1].timestamp_ms > 1_700_000_000_000);
}

#[tokio::test]
async fn keys_go_where_the_partitioner_says_and_keep_their_order() {
    let place = Place::new();
    let topic = place.open();
    let writer = topic.writer();
    let records: Vec<_> = (0..300).map(|n| record(&format!("org-{}", n % 30), n.to_string())).collect();
    for chunk in records.chunks(70) {
        append(&*writer, chunk.to_vec()).await;
    }
    let mut reader = reader_from(&topic, 0).await;
    for (partition, records) in read(&mut *reader, 300).await {
        assert_eq!(offsets(&records), (0..i64::try_from(records.len()).unwrap()).collect::<Vec<_>>());
        let numbers: Vec<u32> = texts(&records).iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "partition {partition}: {numbers:?}");
        assert!(records.iter().all(|record| topic::partition_of(&record.key, 6) == partition));
    }
}

#[tokio::test]
async fn a_record_too_large_is_refused_and_the_others_are_appended() {
    let place = Place::new();
    let topic = place.open_with(Config { max_record_bytes: 100, ..Config::default() });
    let writer = topic.writer();
    let records = vec![record("k", vec![0; 99]), record("k", vec![0; 100]), record("k", "small")];
    let error = AppendError::TooLarge { size: 101, limit: 100 };
    assert_eq!(within(writer.append(records)).await, [Failure { index: 1, error }]);
    let mut reader = reader_from(&topic, 0).await;
    assert_eq!(read(&mut *reader, 2).await.into_values().map(|records| records.len()).sum::<usize>(), 2);
    assert_eq!(within(writer.append(Vec::new())).await, []);
    assert_eq!(within(writer.append(vec![record("k", vec![0; 200])])).await.len(), 1);
}

#[tokio::test]
async fn a_full_topic_refuses_until_it_is_trimmed() {
    let place = Place::new();
    let config = Config { max_bytes: 100_000, max_record_bytes: 10_000, ..Config::default() };
    let topic = place.open_with(config.clone());
    let writer = topic.writer();
    let key = key_of(2);
    let mut appended = 0;
    let refused = loop {
        match within(writer.append(vec![record(&key, vec![7; 9_000])])).await.pop() {
            None => appended += 1,
            Some(failure) => break failure,
        }
    };
    assert_eq!(appended, 11);
    let AppendError::TopicFull { used, limit: 100_000 } = refused.error else { panic!("{refused:?}") };
    assert!((99_000..=100_000).contains(&used), "{used}");
    assert!(writer.ready().await.is_ok(), "a small record would fit");
    let both = within(writer.append(vec![record(&key, vec![7; 20_000]), record(&key, vec![7; 9_000])])).await;
    assert!(matches!(both[0].error, AppendError::TooLarge { .. }), "each its own reason: {both:?}");
    assert!(matches!(both[1].error, AppendError::TopicFull { .. }), "{both:?}");

    within(topic.close()).await;
    let topic = place.open_with(config);
    let writer = topic.writer();
    assert_eq!(within(writer.append(vec![record(&key, vec![7; 9_000])])).await.len(), 1, "still full");
    assert_eq!(within(topic.trim(2, 2)).await, Ok(2));
    append(&*writer, vec![record(&key, vec![7; 9_000])]).await;
    append(&*writer, vec![record(&key, vec![7; 9_000])]).await;
    assert_eq!(within(writer.append(vec![record(&key, vec![7; 9_000])])).await.len(), 1, "full again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_writes_what_was_accepted() {
    let place = Place::new();
    let topic = place.open();
    let writer = topic.writer();
    let mut appends: Vec<_> = (0..50).map(|n| writer.append(numbered(&format!("org-{n}"), 100))).collect();
    for append in &mut appends {
        // Polled once: accepted, perhaps not written.
        tokio::select! { biased; failures = append => assert_eq!(failures, []), () = std::future::ready(()) => {} }
    }
    within(topic.close()).await;
    let late = within(writer.append(numbered("late", 1))).await;
    assert!(
        matches!(&late[0].error, AppendError::Unavailable(detail) if detail == "it is closed"),
        "{late:?}"
    );
    assert!(writer.ready().await.is_err());
    let topic = place.open();
    let mut reader = reader_from(&topic, 0).await;
    read(&mut *reader, 5000).await;
}
