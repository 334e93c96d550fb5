//! How fast the topic on Kafka is, and how long deliveries rest while a group rebalances.
//!
//! `kafka_bench BROKERS write|read RECORDS` or `kafka_bench BROKERS rebalance classic|consumer`; see `hack/kafka.sh`.
#![allow(clippy::unwrap_used, reason = "a measurement ends by panicking")]

use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use topic::kafka::{Config, GroupProtocol, Metrics, Topic, TopicSpec, ensure_topic};
use topic::{Event, NewRecord, Reader};

const REQUEST: usize = 500;
const RECORD_BYTES: usize = 300;
const REQUESTS_AT_ONCE: usize = 40;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [brokers, "write", records] => write(brokers, records.parse().unwrap()).await,
        [brokers, "read", records] => read(brokers, records.parse().unwrap()).await,
        [brokers, "rebalance", protocol] => rebalance(brokers, protocol).await,
        _ => eprintln!("kafka_bench BROKERS write|read RECORDS | rebalance classic|consumer"),
    }
}

async fn topic(brokers: &str, change: impl FnOnce(&mut Config)) -> (Config, Topic) {
    let mut config = Config::new(brokers, format!("bench-{}", uuid::Uuid::now_v7().simple()));
    change(&mut config);
    ensure_topic(&config, &TopicSpec { partitions: 6, replication: 1, settings: vec![] }).await.unwrap();
    (config.clone(), Topic::new(config, Metrics::default()).unwrap())
}

/// Like log lines: text that is compressed about as well.
fn payload(number: usize) -> Vec<u8> {
    let noise = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut text =
        format!("{{\"id\":\"{noise:016x}\",\"level\":\"INFO\",\"message\":\"order {number} paid\",\"t\":");
    while text.len() < RECORD_BYTES {
        text.push_str(&format!("\"{:x}\",", noise.rotate_left(u32::try_from(text.len()).unwrap())));
    }
    text.truncate(RECORD_BYTES);
    text.into_bytes()
}

async fn append(topic: &Topic, records: usize) {
    let writer = topic.writer().unwrap();
    let payloads: Arc<Vec<Bytes>> = Arc::new((0..20_000).map(|number| payload(number).into()).collect());
    let keys: Arc<Vec<Bytes>> = Arc::new((0..50).map(|number| format!("org-{number}").into()).collect());
    let tasks = (0..REQUESTS_AT_ONCE).map(|task| {
        let (writer, payloads, keys) = (writer.clone(), payloads.clone(), keys.clone());
        tokio::spawn(async move {
            for request in 0..records / REQUEST / REQUESTS_AT_ONCE {
                let record = |n: usize| NewRecord {
                    key: keys[(task + n) % keys.len()].clone(),
                    payload: payloads[(request * REQUEST + n) % payloads.len()].clone(),
                    headers: vec![],
                };
                let failures = writer.append((0..REQUEST).map(record).collect()).await;
                assert!(failures.is_empty(), "{:?}", failures[0]);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn write(brokers: &str, records: usize) {
    let (_, topic) = topic(brokers, |_| ()).await;
    append(&topic, records / 10).await;
    let begun = Measured::begin();
    append(&topic, records).await;
    begun.tell("written", records);
}

async fn read(brokers: &str, records: usize) {
    let (_, topic) = topic(brokers, |_| ()).await;
    let records = records / REQUEST / REQUESTS_AT_ONCE * REQUEST * REQUESTS_AT_ONCE;
    append(&topic, records).await;
    let begun = Measured::begin();
    let (mut reader, mut count) = (topic.viewer().tail(), 0);
    while count < records {
        match reader.next().await.unwrap() {
            Event::Assigned(assignments) => {
                assignments.iter().for_each(|assignment| reader.start(assignment.partition, 0));
            }
            Event::Records(batch) => count += batch.records.len(),
            Event::Revoked(_) | Event::Truncated(_) => {
                unreachable!("nobody else reads, and no broker is lost")
            }
        }
    }
    begun.tell("read", records);
}

struct Measured(Instant, Duration);

impl Measured {
    fn begin() -> Measured {
        // Forgets the peak of memory so far.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Measured(Instant::now(), cpu())
    }

    fn tell(&self, what: &str, records: usize) {
        let (took, spent) = (self.0.elapsed(), cpu() - self.1);
        let records = f64::from(u32::try_from(records).unwrap());
        println!(
            "{what} {:.0} records/s, {:.2} us of CPU a record, {:.2} s, peak {} MiB",
            records / took.as_secs_f64(),
            spent.as_secs_f64() * 1e6 / records,
            took.as_secs_f64(),
            peak_mib()
        );
    }
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// When each partition delivered last, and the longest it rested since the rest was last asked for.
#[derive(Default)]
struct Rests(Mutex<HashMap<i32, (Instant, Duration, i64)>>);

impl Rests {
    fn delivered(&self, partition: i32, next: i64) {
        let (mut rests, now) = (self.0.lock().unwrap(), Instant::now());
        let rest = rests.entry(partition).or_insert((now, Duration::ZERO, 0));
        *rest = (now, rest.1.max(now - rest.0), next);
    }

    fn next(&self, partition: i32) -> i64 {
        self.0.lock().unwrap().get(&partition).map_or(0, |rest| rest.2)
    }

    fn take(&self) -> Vec<u128> {
        let mut rests = self.0.lock().unwrap();
        let mut longest: Vec<u128> = rests.values().map(|rest| rest.1.as_millis()).collect();
        rests.values_mut().for_each(|rest| rest.1 = Duration::ZERO);
        longest.sort_unstable();
        longest
    }
}

fn member(mut reader: Box<dyn Reader>, rests: Arc<Rests>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match reader.next().await {
                Ok(Event::Assigned(assignments)) => {
                    for assignment in assignments {
                        reader.start(assignment.partition, rests.next(assignment.partition));
                    }
                }
                Ok(Event::Records(batch)) => {
                    rests.delivered(batch.partition, batch.records.last().unwrap().offset + 1);
                }
                Ok(Event::Revoked(revocation)) => drop(revocation),
                Ok(Event::Truncated(truncation)) => eprintln!("{truncation:?}"),
                Err(error) => eprintln!("{error}"),
            }
        }
    })
}

/// Three members under a steady stream: the longest rest of each partition while the third joins, and while it leaves.
async fn rebalance(brokers: &str, protocol: &str) {
    let (config, topic) = topic(brokers, |config| {
        if protocol == "consumer" {
            config.reader.group_protocol = GroupProtocol::Consumer;
        }
    })
    .await;
    let writer = topic.writer().unwrap();
    let stream = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(5));
        for number in 0.. {
            every.tick().await;
            let record = |n: usize| NewRecord {
                key: format!("org-{n}").into(),
                payload: payload(number).into(),
                headers: vec![],
            };
            writer.append((0..30).map(record).collect()).await;
        }
    });
    let (rests, settle) = (Arc::new(Rests::default()), Duration::from_secs(12));
    let mut members = vec![];
    for joined in 1..=3 {
        members.push(member(topic.subscribe(&config.topic), rests.clone()));
        tokio::time::sleep(settle).await;
        println!(
            "{protocol}: member {joined} joined, longest rest of each partition in ms: {:?}",
            rests.take()
        );
    }
    for left in (1..=2).rev() {
        members.pop().unwrap().abort();
        tokio::time::sleep(settle).await;
        println!("{protocol}: a member left, {left} stay, longest rest in ms: {:?}", rests.take());
    }
    stream.abort();
}
