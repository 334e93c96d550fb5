//! Measures flushes into PostgreSQL: `postgres_flush URL [ROWS] [CONNECTIONS] [SECONDS] [REMEMBERED_IDS] [AGE]`.
//!
//! Each connection stores flushes of so many rows of one partition, one after the other. Prints rows a second and CPU
//! seconds of this process a million rows. Events are so many seconds old: from 240 on they are late, and each flush tells
//! of its organisations. The database is to be a new one; the tables are made in it.

use record::{Level, LogRecord, Timestamp, Uuid};
use std::time::{Duration, Instant};
use store::{Flush, PartitionKey, Position, Sink, postgres};

/// Flushes made before the clock runs, so that only storing is measured; then the same again with new ids.
const ROUND: usize = 20;

fn event(number: usize, age: Duration) -> LogRecord {
    let age = i64::try_from(age.as_nanos()).expect("few years");
    let timestamp = Timestamp::from_nanos(Timestamp::now().as_nanos() - age).expect("after 1970");
    let attributes = format!(r#"{{"order":{number},"currency":"EUR","total":{}.95}}"#, number % 500);
    let filler = "x".repeat(70);
    LogRecord {
        id: Uuid::now_v7(),
        organization_id: format!("organization-{}", number % 200).parse().expect("a name"),
        timestamp,
        level: [Level::Info, Level::Info, Level::Debug, Level::Warn, Level::Error][number % 5],
        service: ["checkout", "payment", "inventory", "gateway"][number % 4].into(),
        message: format!("order {number} paid after {} ms, {filler}", number % 977),
        trace_id: Some(Uuid::now_v7().simple().to_string()),
        span_id: Some(format!("{number:016x}")),
        attributes: serde_json::value::RawValue::from_string(attributes).ok(),
    }
}

/// CPU seconds of this process so far, its own and the kernel's for it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Stores flushes of one partition for a time; answers rows, seconds and CPU seconds that storing took.
async fn work(
    store: postgres::Store,
    of: PartitionKey,
    (rows, age): (usize, Duration),
    time: Duration,
) -> (i64, f64, f64) {
    let asked = Position { of, next: 0 };
    let mut next = store.positions(&[asked]).await.expect("a position")[0].next;
    let (mut stored, mut seconds, mut cpu) = (0, 0.0, 0.0);
    while seconds < time.as_secs_f64() {
        let flushes: Vec<Vec<LogRecord>> =
            (0..ROUND).map(|_| (0..rows).map(|number| event(number, age)).collect()).collect();
        let (begun, cpu_before) = (Instant::now(), cpu_seconds());
        for rows in flushes {
            let (expected, length) = (next, i64::try_from(rows.len()).expect("few"));
            next += length;
            stored += length;
            let flush = Flush { of, expected, next, rows, letters: vec![], skipped: 0, lost: 0 };
            store.flush(flush).await.expect("flushed");
        }
        seconds += begun.elapsed().as_secs_f64();
        cpu += cpu_seconds() - cpu_before;
    }
    (stored, seconds, cpu)
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, usual: u32| arguments.get(index).map_or(usual, |text| text.parse().expect("a number"));
    let (rows, connections) = (number(1, 2_000) as usize, number(2, 1));
    let (time, age) = (Duration::from_secs(number(3, 5).into()), Duration::from_secs(number(5, 0).into()));
    let url = arguments.first().expect("a URL").clone();
    let config =
        postgres::Config { remembered_ids: number(4, 200_000) as usize, ..postgres::Config::new(url) };
    let store = postgres::Store::open(config).expect("a URL");
    store.migrate().await.expect("migrated");
    store.maintain(Timestamp::now()).await.expect("partitions");
    let topic = Uuid::now_v7();
    let workers: Vec<_> = (0..i32::try_from(connections).expect("few"))
        .map(|partition| {
            tokio::spawn(work(store.clone(), PartitionKey { topic, partition, epoch: 0 }, (rows, age), time))
        })
        .collect();
    let (mut stored, mut rate, mut cpu) = (0, 0.0, 0.0_f64);
    for worker in workers {
        let (of_it, seconds, cpu_of_all) = worker.await.expect("worked");
        stored += of_it;
        rate += of_it as f64 / seconds;
        // Each saw the CPU of all while it was storing.
        cpu = cpu.max(cpu_of_all);
    }
    println!(
        "rows a flush {rows}, connections {connections}: {rate:.0} rows/s, {:.2} CPU s a million rows",
        cpu * 1e6 / stored as f64
    );
}
