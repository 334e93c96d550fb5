//! Brokers that freeze and die: three real ones of the test's own, started by `hack/kafka.sh` and left for the next run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};
use topic::kafka::{Config, Metrics, Topic, TopicSpec, WriterConfig, ensure_topic};
use topic::{AppendError, Event, Failure, NewRecord, Reader, Writer};

const PARTITIONS: i32 = 6;
/// A cluster apart from the one that other tests share.
const PORT: &str = "19492";

/// Runs `hack/kafka.sh`.
fn kafka(arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hack/kafka.sh");
    let done = Command::new(script).args(arguments).env("LOGPIPELINE_KAFKA_PORT", PORT).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "hack/kafka.sh {arguments:?}: {error}");
    out.into_owned()
}

/// The brokers, for one test at a time. Whatever a test did to them is undone before the next.
async fn cluster() -> (tokio::sync::MutexGuard<'static, ()>, String) {
    static TURN: OnceLock<tokio::sync::Mutex<()>> = OnceLock::new();
    let turn = TURN.get_or_init(tokio::sync::Mutex::default).lock().await;
    let environment = tokio::task::spawn_blocking(|| kafka(&["up", "--brokers", "3"])).await.unwrap();
    let brokers = environment.lines().find_map(|line| line.strip_prefix("export LOGPIPELINE_TEST_KAFKA="));
    (turn, brokers.expect("hack/kafka.sh names the brokers").to_owned())
}

/// Lets frozen brokers go on, whatever becomes of the test.
struct Frozen(&'static [&'static str]);

impl Frozen {
    fn new(brokers: &'static [&'static str]) -> Frozen {
        kafka(&[&["stop"], brokers].concat());
        Frozen(brokers)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        kafka(&[&["cont"], self.0].concat());
    }
}

async fn topic(brokers: &str, test: &str, writer: WriterConfig) -> (Config, Topic) {
    let name = format!("{test}-{}", uuid::Uuid::now_v7().simple());
    let config = Config { writer, ..Config::new(brokers, name) };
    let settings = vec![("min.insync.replicas".into(), "2".into())];
    let spec = TopicSpec { partitions: PARTITIONS, replication: 3, settings };
    within(ensure_topic(&config, &spec)).await.unwrap();
    (config.clone(), Topic::new(config, Metrics::default()).unwrap())
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(90), future).await.expect("an answer within 90 s")
}

fn key_of(partition: i32) -> String {
    let mut keys = (0..).map(|n| format!("org-{n}"));
    keys.find(|key| topic::partition_of(key.as_bytes(), PARTITIONS.unsigned_abs()) == partition).unwrap()
}

fn records(key: &str, from: usize, count: usize) -> Vec<NewRecord> {
    let record = |number: usize| NewRecord {
        key: key.to_owned().into(),
        payload: number.to_string().into(),
        headers: Vec::new(),
    };
    (from..from + count).map(record).collect()
}

/// Starts every partition at `from` and reads until as many records of each key have come.
async fn read_all(
    reader: &mut dyn Reader,
    expected: &BTreeMap<i32, usize>,
) -> BTreeMap<i32, Vec<(i64, usize)>> {
    let mut read: BTreeMap<i32, Vec<(i64, usize)>> = BTreeMap::new();
    while expected.iter().any(|(partition, count)| read.get(partition).map_or(0, Vec::len) < *count) {
        match within(reader.next()).await {
            Ok(Event::Assigned(assignments)) => {
                for assignment in assignments {
                    reader.start(assignment.partition, assignment.log_start);
                }
            }
            Ok(Event::Records(batch)) => {
                let number = |payload: &[u8]| String::from_utf8_lossy(payload).parse().unwrap();
                let records = batch.records.iter().map(|record| (record.offset, number(&record.payload)));
                read.entry(batch.partition).or_default().extend(records);
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_frozen_brokers_the_queue_is_full_at_once_and_recovers() {
    let (_turn, brokers) = cluster().await;
    let limits = WriterConfig {
        queue_records: 100,
        acknowledged_within: Duration::from_secs(60),
        ..WriterConfig::default()
    };
    let (_, topic) = topic(&brokers, "frozen", limits).await;
    let writer = topic.writer().unwrap();
    assert_eq!(within(writer.append(records(&key_of(0), 0, 10))).await, []);
    let frozen = Frozen::new(&["1", "2", "3"]);
    // Polled once each: then they are in the queue, which they fill.
    let mut waiting: Vec<_> =
        (0..2).map(|part| writer.append(records(&key_of(0), 10 + part * 50, 50))).collect();
    for request in &mut waiting {
        let waits = poll_fn(|context| Poll::Ready(request.as_mut().poll(context).is_pending())).await;
        assert!(waits, "frozen brokers do not answer");
    }
    let begun = Instant::now();
    let failures = within(writer.append(records("x", 0, 1))).await;
    assert!(matches!(failures[..], [Failure { error: AppendError::QueueFull { .. }, .. }]), "{failures:?}");
    assert!(begun.elapsed() < Duration::from_millis(500), "at once, not after {:?}", begun.elapsed());
    let stuck = within(async {
        loop {
            if let Err(error) = writer.ready().await {
                return error;
            }
        }
    });
    assert!(matches!(stuck.await, AppendError::Unavailable(_)));
    drop(frozen);
    for answer in waiting {
        assert_eq!(within(answer).await, []);
    }
    assert_eq!(within(writer.append(records(&key_of(0), 110, 10))).await, []);
    within(async { while writer.ready().await.is_err() {} }).await;
    let read = read_all(&mut *topic.viewer().tail(), &[(0, 120)].into()).await;
    let numbers = read[&0].iter().map(|(_, number)| *number).filter(|number| *number > 9);
    assert_eq!(numbers.count(), 110, "nothing was lost and nothing doubled");
}

/// Appends to one partition, one request after the other, until told to stop; answers how many were acknowledged.
async fn append_until(writer: Arc<dyn Writer>, partition: i32, stop: Arc<AtomicBool>) -> usize {
    let (key, mut acknowledged) = (key_of(partition), 0);
    while !stop.load(Ordering::Relaxed) {
        let failures = within(writer.append(records(&key, acknowledged, 20))).await;
        assert_eq!(failures, [], "a broker that dies is not heard of within the time for an acknowledgement");
        acknowledged += 20;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_loses_and_doubles_nothing() {
    let (_turn, brokers) = cluster().await;
    let limits = WriterConfig { acknowledged_within: Duration::from_secs(60), ..WriterConfig::default() };
    let (config, topic) = topic(&brokers, "killed", limits).await;
    let writer = topic.writer().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let appending: Vec<_> = (0..PARTITIONS)
        .map(|partition| tokio::spawn(append_until(writer.clone(), partition, stop.clone())))
        .collect();
    let mut reader = topic.subscribe(&config.topic);
    read_all(&mut *reader, &(0..PARTITIONS).map(|partition| (partition, 200)).collect()).await;
    tokio::task::spawn_blocking(|| kafka(&["kill", "2"])).await.unwrap();
    // Goes on without it: every partition has a record that was appended after the kill.
    let viewer = topic.viewer();
    let mut ends = None;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "all partitions go on within 60 s of the kill");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Ok(now) = viewer.offsets().await else { continue };
        let now: Vec<i64> = now.iter().map(|offsets| offsets.end).collect();
        let before = ends.get_or_insert_with(|| now.clone());
        if now.iter().zip(before).all(|(now, before)| now > before) {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for (partition, task) in (0..).zip(appending) {
        acknowledged.insert(partition, within(task).await.unwrap());
    }
    tokio::task::spawn_blocking(|| kafka(&["start", "2"])).await.unwrap();
    let read = read_all(&mut *topic.viewer().tail(), &acknowledged).await;
    for (partition, count) in acknowledged {
        let expected: Vec<(i64, usize)> = (0..).zip(0..count).collect();
        assert!(read[&partition] == expected, "partition {partition}: {count} records, each at its offset");
    }
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// librdkafka's admin API connects without a pause while no broker is there: it took most of a core.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_for_brokers_that_are_away_does_not_keep_the_machine_busy() {
    const LOOKING: Duration = Duration::from_secs(10);
    let (_turn, brokers) = cluster().await;
    let (config, topic) = topic(&brokers, "away", WriterConfig::default()).await;
    let (writer, viewer) = (topic.writer().unwrap(), topic.viewer());
    let mut reader = topic.subscribe(&config.topic);
    assert_eq!(within(writer.append(records(&key_of(0), 0, 10))).await, []);
    read_all(&mut *reader, &[(0, 10)].into()).await;
    tokio::task::spawn_blocking(|| kafka(&["kill", "1", "2", "3"])).await.unwrap();
    let (begun, before) = (Instant::now(), cpu());
    let reading = tokio::spawn(async move {
        loop {
            reader.next().await.ok();
        }
    });
    while begun.elapsed() < LOOKING {
        assert!(within(viewer.offsets()).await.is_err() && within(writer.ready()).await.is_err());
    }
    let (took, used) = (begun.elapsed(), cpu() - before);
    reading.abort();
    tokio::task::spawn_blocking(|| kafka(&["start", "1", "2", "3"])).await.unwrap();
    assert!(used < took / 5, "{used:?} of CPU in {took:?}");
    let back = within(async {
        loop {
            if let Ok(offsets) = viewer.offsets().await {
                return offsets;
            }
        }
    });
    assert_eq!(back.await.iter().map(|offsets| offsets.end).sum::<i64>(), 10);
}
