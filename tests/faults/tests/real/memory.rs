//! Nothing grows while the database is out, however long and however much comes in.

use crate::support::{KeepLogs, TURN, assert_good, end, load, said, shared_by, wait_for};
use fault_tests::{
    fault::Fault,
    flood::{Acknowledged, Answer, Flood, Manner},
    ledger::Ledger,
    load::Clients,
    parts::Shape,
    run::System,
    service::{ACK_TIMEOUT, Memory, Service},
    verdict::settled,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Time of the outage, unless the variable `LOGPIPELINE_TEST_SOAK` says another, such as `300s`. What can be held is held
/// after a few seconds.
const SOAK: Duration = Duration::from_secs(60);
/// What a consumer may have.
const CONSUMER_MEMORY: u64 = 256 << 20;
/// What a producer may have. Its queue holds 64 MiB of records, once with the waiting requests and once with librdkafka;
/// bodies have 64 MiB. As much again is for what each record needs beside its bytes, and for what the allocator keeps.
const PRODUCER_MEMORY: u64 = (2 * (2 * 64 + 64)) << 20;
/// One copy of each record: disks are finite.
const SHAPE: Shape = Shape { brokers: 3, copies: 1, settings: &[], consumer: &[], services: &[] };
/// Bodies that are sent at most, however fast the machine is.
const BYTES: u64 = 6 << 30;
/// Clients without a pause, who ask a producer that refuses again soon.
const FULL_SPEED: Manner =
    Manner { message_bytes: 40, stagger: Duration::ZERO, again: Duration::from_millis(500) };
/// Clients whose bodies, 2 MB each, come one after the other, so that a producer can judge each at once.
const FILL: Manner =
    Manner { message_bytes: 4_000, stagger: Duration::from_millis(200), again: Duration::from_secs(5) };
/// Time that the consumers have to store what came in. What they have not stored by then is left.
const DRAIN: Duration = Duration::from_secs(120);

/// The database is out and four clients send without a pause; then the brokers freeze too, and many more clients fill the
/// producers' queues. Consumer and producers stay within their memory, and who finds the queue full is told so at once and
/// when to come again. Afterwards all goes on: of each organisation the first so many events are stored, each once and in
/// order; all of them when they can be stored in two minutes, which takes a short outage or a fast machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_costs_bounded_memory_and_prompt_answers() {
    let _turn = TURN.lock().await;
    let system = Arc::new(System::start(SHAPE).await.unwrap());
    let _logs = KeepLogs::of(&system);
    alone(&system).await;
    let memory = Watch::start(&system);
    system.parts.database("kill").await.unwrap();
    let flood = Flood::start(0..4, FULL_SPEED, &system.urls);
    soak(&flood).await;
    let held = said(&system.consumers[..1], "the store is out");
    assert!(!held.is_empty(), "the consumer has not noticed the outage");
    let consumer = memory.most(&system.consumers[0]);
    println!("{} events, {} bytes; consumer {consumer:?}", flood.acknowledged(), flood.bytes());
    assert!(consumer.most < CONSUMER_MEMORY, "the consumer had {consumer:?}");

    let more = freeze_brokers(&system, &flood).await;
    system.parts.database("up").await.unwrap();
    let mut acknowledged = flood.stop().await;
    acknowledged.extend(more.stop().await);
    for service in system.producers.iter().chain(&system.consumers[..1]) {
        println!("{}: {:?}", service.name, memory.most(service));
    }
    for producer in &system.producers {
        let used = memory.most(producer);
        assert!(used.most < PRODUCER_MEMORY, "{} had {used:?}", producer.name);
    }
    drain(&system, &acknowledged).await;
    println!("after the drain: consumer {:?}", memory.most(&system.consumers[0]));
    for service in system.producers.iter().chain(&system.consumers) {
        assert_eq!(service.ended_by_itself(), Vec::<String>::new(), "{}", service.name);
    }
    drop(memory);
    system.parts.delete_topics().await.unwrap();
    end(Arc::into_inner(system).unwrap()).await;
}

/// One consumer for all partitions, which has read from each.
async fn alone(system: &System) {
    system.suffer(Fault::Scale(1)).await.unwrap();
    shared_by(system, 1).await;
    let acknowledged = Clients::start(&load(100, Some(20)), &system.urls).finish().await;
    assert_good(&system.verdict(&acknowledged).await.unwrap());
}

/// Waits for as long as the outage is to last, or until enough has come in.
async fn soak(flood: &Flood) {
    let soak =
        std::env::var("LOGPIPELINE_TEST_SOAK").map_or(SOAK, |time| humantime::parse_duration(&time).unwrap());
    let end = Instant::now() + soak;
    while Instant::now() < end && flood.bytes() < BYTES {
        sleep(Duration::from_millis(500)).await;
    }
    assert!(flood.acknowledged() > 0, "nothing came in");
}

/// Freezes all brokers for a while. More clients fill the producers' queues with large bodies, until there is no room.
async fn freeze_brokers(system: &System, flood: &Flood) -> Flood {
    for broker in 1..=SHAPE.brokers {
        system.parts.broker("stop", broker).await.unwrap();
    }
    let frozen = Instant::now();
    let more = Flood::start(1_000..1_080, FILL, &system.urls);
    let full = async || more.refusals(frozen).iter().any(Answer::is_queue_full).then_some(());
    wait_for("a producer says that its queue is full", 3 * ACK_TIMEOUT, full).await;
    println!("{:.1} s to a full queue", frozen.elapsed().as_secs_f64());
    let found_full = Instant::now();
    sleep(Duration::from_secs(10)).await;
    let (answers, of_fillers) = (flood.refusals(frozen), more.refusals(frozen));
    for answer in answers.iter().chain(&of_fillers) {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.retry_after, "it does not say when to come again: {answer:?}");
        assert!(answer.took < 2 * ACK_TIMEOUT, "it hung: {answer:?}");
    }
    let slowest = |answers: &[Answer]| answers.iter().map(|answer| answer.took).max().unwrap_or_default();
    println!("{} answers, the slowest took {:?}", answers.len(), slowest(&answers));
    println!("{} answers to large bodies, the slowest took {:?}", of_fillers.len(), slowest(&of_fillers));
    let refused = answers.into_iter().chain(of_fillers).filter(Answer::is_queue_full);
    // Before that, producers were busy with the bodies that filled it.
    let refused: Vec<Answer> = refused.filter(|answer| answer.sent >= found_full).collect();
    println!("{} of a full queue, the slowest took {:?}", refused.len(), slowest(&refused));
    assert!(refused.len() >= 5, "a full queue was met {} times only", refused.len());
    assert!(slowest(&refused) < Duration::from_secs(5), "a full queue was told late");
    for broker in 1..=SHAPE.brokers {
        system.parts.broker("cont", broker).await.unwrap();
    }
    more
}

/// Lets the consumer store for a while, all of it if that is enough.
async fn drain(system: &System, acknowledged: &Acknowledged) {
    let sent: u64 = acknowledged.values().sum();
    let before = Ledger::read(&system.parts).await.unwrap();
    let all = settled(&system.parts, DRAIN).await;
    let drained = Ledger::read(&system.parts).await.unwrap();
    println!("of {sent} events are stored, within {DRAIN:?}: {drained:?}; {all:?}");
    assert!(drained.stored > before.stored, "nothing is stored after the outage: {drained:?}");
    if all.is_err() {
        // What is counted must not grow meanwhile.
        system.consumers.iter().for_each(Service::terminate);
    }
    // Of each organisation: rows, different ids, the number after the last one, and rows before a later one.
    let rows = "WITH numbered AS (SELECT organization_id, id, place, ('x' || right(id::text, 12))::bit(48)::bigint AS number
                    FROM logs WHERE service = 'flood'),
                ordered AS (SELECT *, number < lag(number) OVER (PARTITION BY organization_id ORDER BY place) AS late
                    FROM numbered)
                SELECT organization_id, count(*), count(DISTINCT id), max(number) + 1, count(*) FILTER (WHERE late)
                FROM ordered GROUP BY organization_id";
    let mut stored = 0;
    for row in system.parts.sql(rows).await.unwrap() {
        let (organisation, counts) = row.split_once('|').unwrap();
        let counts: Vec<u64> = counts.split('|').map(|count| count.parse().unwrap()).collect();
        let first = counts[0];
        assert_eq!(
            counts,
            [first, first, first, 0],
            "{organisation}: not the first {first} events in order, once each"
        );
        assert!(first <= acknowledged[organisation], "{organisation} has more than was sent");
        stored += first;
    }
    assert!(
        all.is_err() || stored == sent,
        "{stored} of {sent} are stored, and nothing is left in the topic"
    );
    let ledger = Ledger::read(&system.parts).await.unwrap();
    assert_eq!((ledger.lost, ledger.dead_lettered, ledger.balanced), (0, 0, true));
}

/// Looks at the memory of all services twice a second, as long as it lives.
struct Watch {
    seen: Arc<Mutex<Vec<(String, Memory)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start(system: &Arc<System>) -> Watch {
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (system, into, stopped) = (Arc::clone(system), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for service in system.producers.iter().chain(&system.consumers) {
                    if let Some(memory) = service.memory() {
                        into.lock().unwrap().push((service.name.clone(), memory));
                    }
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Watch { seen, stop, thread: Some(thread) }
    }

    /// The most that a service had at any look, and by the kernel's own account.
    fn most(&self, service: &Service) -> Memory {
        let seen = self.seen.lock().unwrap();
        let of_it = seen.iter().filter(|(name, _)| *name == service.name).map(|(_, memory)| memory);
        of_it.fold(Memory::default(), |most, memory| Memory {
            now: most.now.max(memory.now),
            most: most.most.max(memory.most),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
