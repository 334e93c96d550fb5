//! Writes the events of a topic again: over HTTP to a producer, or by plain librdkafka, so that both can be compared.
//!
//! ```text
//! kafka_replay make BROKERS TOPIC...                         topics of six partitions
//! kafka_replay post BROKERS FROM EVENTS URL CONNECTIONS      to a producer, 500 events a request; LOGPIPELINE_GATEWAY_KEY
//!                                                            is the producer's
//! kafka_replay write BROKERS FROM EVENTS TO                  by librdkafka, with the settings of the product's writer
//! ```
//! The first 500 events are sent once before the clock runs, so that everybody is connected. The last line says how many
//! events were acknowledged, in how many seconds, and what CPU this process spent on it.
#![allow(clippy::unwrap_used, reason = "a measurement ends by panicking")]

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use topic::kafka::{Config, Metrics, Topic, TopicSpec, ensure_topic};
use topic::{Event, Record};

const PARTITIONS: i32 = 6;
const REQUEST: usize = 500;
/// Longest wait for what is in flight.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", brokers, ref topics @ ..] => make(brokers, topics).await,
        ["post", brokers, from, events, url, connections] => {
            let records = read(brokers, from, events.parse().unwrap()).await;
            post(&records, url, connections.parse().unwrap());
        }
        ["write", brokers, from, events, to] => {
            write(&read(brokers, from, events.parse().unwrap()).await, brokers, to);
        }
        _ => eprintln!("kafka_replay make|post|write …; see the head of its source"),
    }
}

async fn make(brokers: &str, topics: &[&str]) {
    let spec = TopicSpec { partitions: PARTITIONS, replication: 1, settings: vec![] };
    for topic in topics {
        ensure_topic(&Config::new(brokers, *topic), &spec).await.unwrap();
    }
}

/// So many records of the topic, of all its partitions.
async fn read(brokers: &str, topic: &str, events: usize) -> Vec<Record> {
    let topic = Topic::new(Config::new(brokers, topic), Metrics::default()).unwrap();
    let (mut reader, mut records) = (topic.viewer().tail(), Vec::with_capacity(events));
    while records.len() < events {
        match reader.next().await.unwrap() {
            Event::Assigned(assignments) => {
                assignments.iter().for_each(|assignment| reader.start(assignment.partition, 0));
            }
            Event::Records(batch) => records.extend(batch.records),
            Event::Revoked(_) | Event::Truncated(_) => unreachable!("nobody else reads"),
        }
    }
    records.truncate(events);
    records
}

/// Posts the events by blocking connections: the cheapest client there is, because it shares the processors with what
/// is measured.
fn post(records: &[Record], url: &str, connections: usize) {
    let host = url.strip_prefix("http://").unwrap();
    let key = handoff::Key::new(std::env::var("LOGPIPELINE_GATEWAY_KEY").unwrap().as_bytes());
    let identity = key.sign(handoff::ANY, SystemTime::now() + Duration::from_secs(3600));
    let requests: Vec<Vec<u8>> =
        records.chunks(REQUEST).map(|events| request(host, &identity, events)).collect();
    let connect = || {
        let connection = BufReader::new(TcpStream::connect(host).unwrap());
        connection.get_ref().set_nodelay(true).unwrap();
        connection
    };
    ask(&mut connect(), &requests[0]);
    let (next, begun) = (AtomicUsize::new(0), Measured::begin());
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = connect();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    ask(&mut connection, request);
                }
            });
        }
    });
    begun.tell(records.len());
}

fn request(host: &str, identity: &str, events: &[Record]) -> Vec<u8> {
    let bytes: usize = events.iter().map(|event| event.payload.len() + 1).sum();
    let mut request = format!(
        "POST /api/v1/logs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n\
         {}: {identity}\r\nContent-Length: {bytes}\r\n\r\n",
        handoff::IDENTITY
    )
    .into_bytes();
    for event in events {
        request.extend_from_slice(&event.payload);
        request.push(b'\n');
    }
    request
}

/// Sends a request and reads its answer: 202, and nothing rejected.
fn ask(connection: &mut BufReader<TcpStream>, request: &[u8]) {
    connection.get_mut().write_all(request).unwrap();
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert_ne!(connection.read_line(&mut line).unwrap(), 0, "the connection was closed after {head}");
        head.push_str(&line.to_ascii_lowercase());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    connection.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.1 202") && body.contains(r#""rejected":[]"#), "{head}{body}");
}

/// Counts what was acknowledged.
struct Acknowledged(Arc<AtomicUsize>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "{:?}", result.as_ref().err().map(|(error, _)| error));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// As fast as librdkafka takes them.
fn write(records: &[Record], brokers: &str, topic: &str) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let context = Acknowledged(acknowledged.clone());
    let producer: ThreadedProducer<_> = plain(brokers).create_with_context(context).unwrap();
    send(&producer, topic, &records[..REQUEST]);
    acknowledged.store(0, Ordering::Relaxed);
    let begun = Measured::begin();
    send(&producer, topic, records);
    assert_eq!(acknowledged.load(Ordering::Relaxed), records.len());
    begun.tell(records.len());
}

fn send(producer: &ThreadedProducer<Acknowledged>, topic: &str, records: &[Record]) {
    for record in records {
        let mut handed = BaseRecord::<[u8], [u8]>::to(topic).key(&record.key).payload(&record.payload);
        while let Err((error, back)) = producer.send(handed) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            handed = back;
            // A full queue empties by batches.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(ENDS_WITHIN).unwrap();
}

/// What the product's writer sets, as far as it matters for speed.
fn plain(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client.set("enable.idempotence", "true");
    client.set("acks", "all");
    client.set("compression.type", "lz4");
    client.set("partitioner", "murmur2_random");
    client.set("linger.ms", "5");
    client.set("batch.size", "1000000");
    client.set("message.max.bytes", "1000512");
    client.set("socket.nagle.disable", "true");
    client.set("queue.buffering.max.messages", "200000");
    client.set("queue.buffering.max.kbytes", "65536");
    client
}

struct Measured(Instant, f64);

impl Measured {
    fn begin() -> Measured {
        Measured(Instant::now(), cpu_seconds())
    }

    fn tell(&self, events: usize) {
        let (took, cpu) = (self.0.elapsed().as_secs_f64(), cpu_seconds() - self.1);
        println!("events={events} seconds={took:.3} cpu={cpu:.2}");
    }
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
