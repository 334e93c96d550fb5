//! Measures flushes into PostgreSQL: `postgres_flush URL [ROWS A FLUSH] [CONNECTIONS] [SECONDS] [REMEMBERED IDS]`.
//!
//! Prints rows a second and CPU seconds of this process a million rows. The database is to be a new one; the tables are
//! made in it.

use record::{Level, LogRecord, Timestamp, Uuid};
use std::time::{Duration, Instant};
use store::{Flush, PartitionKey, Position, Sink, postgres};

fn event(number: usize) -> LogRecord {
    LogRecord {
        id: Uuid::now_v7(),
        organization_id: format!("organization-{}", number % 200).parse().expect("a name"),
        timestamp: Timestamp::now(),
        level: [Level::Info, Level::Info, Level::Debug, Level::Warn, Level::Error][number % 5],
        service: ["checkout", "payment", "inventory", "gateway"][number % 4].into(),
        message: format!(
            "order {number} paid by card ending {:04} after {} ms, {}",
            number % 10_000,
            number % 977,
            "x".repeat(70)
        ),
        trace_id: Some(format!("{:032x}", Uuid::now_v7().as_u128())),
        span_id: Some(format!("{:016x}", number)),
        attributes: serde_json::value::RawValue::from_string(format!(
            r#"{{"order":{number},"currency":"EUR","total":{}.95}}"#,
            number % 500
        ))
        .ok(),
    }
}

/// CPU seconds of this process so far, its own and the kernel's for it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, usual: usize| {
        arguments.get(index).map_or(usual, |text| text.parse().expect("a number"))
    };
    let (rows, connections, seconds) = (number(1, 2_000), number(2, 1), number(3, 5));
    let config = postgres::Config {
        remembered_ids: number(4, 200_000),
        ..postgres::Config::new(arguments[0].clone())
    };
    let store = postgres::Store::open(config).expect("a URL");
    store.migrate().await.expect("migrated");
    store.maintain(Timestamp::now()).await.expect("partitions");
    let topic = Uuid::now_v7();
    let events: Vec<LogRecord> = (0..rows * 20).map(event).collect();
    let size: usize = events.iter().map(|event| event.to_json().len()).sum();
    // Made before, so that only flushes are measured; each has ids of its own.
    let flushes = |partition: i32| {
        let batches: Vec<Vec<LogRecord>> = events.chunks(rows).map(<[LogRecord]>::to_vec).collect();
        (PartitionKey { topic, partition }, batches)
    };
    let (mut workers, begun, cpu) = (Vec::new(), Instant::now(), cpu_seconds());
    for partition in 0..i32::try_from(connections).expect("few") {
        let (of, batches) = flushes(partition);
        let store = store.clone();
        workers.push(tokio::spawn(async move {
            let mut next = store.positions(&[Position { of, next: 0 }]).await.expect("a position")[0].next;
            let mut making = 0.0;
            for mut batch in batches.into_iter().cycle() {
                if begun.elapsed() > Duration::from_secs(seconds as u64) {
                    break;
                }
                let before = Instant::now();
                batch.iter_mut().for_each(|event| event.id = Uuid::now_v7());
                making += before.elapsed().as_secs_f64();
                let expected = next;
                next += batch.len() as i64;
                let flush = Flush { of, expected, next, rows: batch, letters: vec![], skipped: 0, lost: 0 };
                store.flush(flush).await.expect("flushed");
            }
            (next, making)
        }));
    }
    let (mut stored, mut making) = (0, 0.0);
    for worker in workers {
        let (rows, of_it) = worker.await.expect("worked");
        stored += rows;
        making += of_it;
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "rows a flush {rows}, connections {connections}: {:.0} rows/s, {:.2} CPU s a million rows ({:.2} of it making ids), {} bytes an event as JSON",
        stored as f64 / took,
        cpu * 1e6 / stored as f64,
        making * 1e6 / stored as f64,
        size / events.len(),
    );
}
