//! Retention deletes what the consumers have not stored yet: the loss is told, to the number.

use crate::support::{KeepLogs, TURN, end, said, wait_for};
use fault_tests::{
    ledger::Ledger,
    load::{Clients, Load, http, join},
    parts::Shape,
    run::System,
    verdict::{self, Verdict, settled, topic},
};
use std::{collections::HashMap, time::Duration};
use topic::PartitionOffsets;

/// The smallest segments that Kafka makes, and two of them kept.
const SHAPE: Shape = Shape {
    brokers: 3,
    copies: 3,
    settings: &[("segment.bytes", "1048576"), ("retention.bytes", "2097152")],
    // Less than is sent, so that the log runs ahead of what is in memory.
    consumer: &[("LOGPIPELINE_PARTITION_MEMORY", "1Mi")],
    services: &[],
};
const LOAD: Load =
    Load { clients: 4, organisations: 120, events: None, pause: Duration::ZERO, padding: 4_000 };

/// Consumers that are started in the outage have nothing in memory, so all that retention deletes is lost: exactly the
/// offsets between the position and the log's start.
#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_from_consumers_that_were_started_anew_is_counted_to_the_offset() {
    let _turn = TURN.lock().await;
    let system = System::start(SHAPE).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let (verdict, gone) = overtake(&system, true).await;
    assert_eq!(verdict.lost, gone, "lost are the offsets from the positions to the starts of the log");
    end(system).await;
}

/// Consumers that wait for the database with records in memory store these although the log has lost them, and count what
/// comes between them and the log's start.
#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_from_consumers_that_wait_is_counted_to_the_offset() {
    let _turn = TURN.lock().await;
    let system = System::start(SHAPE).await.unwrap();
    let _logs = KeepLogs::of(&system);
    let (verdict, gone) = overtake(&system, false).await;
    assert!(0 < verdict.lost && verdict.lost < gone, "lost is a part of {gone}: {verdict}");
    end(system).await;
}

/// The verdict, and how many offsets lie between the positions and the starts of the log.
async fn overtake(system: &System, anew: bool) -> (Verdict, usize) {
    let some = Load { events: Some(5), ..LOAD };
    let before = Clients::start(&some, &system.urls).finish().await;
    settled(&system.parts, Duration::from_secs(60)).await.unwrap();
    let positions = positions(system).await;
    system.parts.database("kill").await.unwrap();
    if anew {
        system.consumers.iter().for_each(|consumer| consumer.kill());
    }
    let many = Load { events: Some(120), ..LOAD };
    let acknowledged = join(before, Clients::start(&many, &system.urls).finish().await);
    let starts = overtaken(system, &positions).await;
    system.parts.database("up").await.unwrap();
    settled(&system.parts, Duration::from_secs(120)).await.unwrap();
    let verdict = verdict::count(&system.parts, &acknowledged, &[]).await.unwrap();
    println!("{verdict}");
    assert_told(system, &verdict).await;
    let gone = starts.iter().map(|(partition, start)| start - positions[partition]).sum::<i64>();
    (verdict, usize::try_from(gone).unwrap())
}

async fn positions(system: &System) -> HashMap<i32, i64> {
    let rows = system.parts.sql("SELECT partition, next_offset FROM consumer_offsets").await.unwrap();
    let both = rows.iter().map(|row| row.split_once('|').unwrap());
    both.map(|(partition, next)| (partition.parse().unwrap(), next.parse().unwrap())).collect()
}

/// Where the partitions begin when retention has gone past all positions and is done.
async fn overtaken(system: &System, positions: &HashMap<i32, i64>) -> HashMap<i32, i64> {
    let viewer = topic(&system.parts, system.parts.topic()).unwrap().viewer();
    let starts = |ends: &[PartitionOffsets]| -> HashMap<i32, i64> {
        ends.iter().map(|of| (of.partition, of.log_start)).collect()
    };
    let (mut last, mut same) = (HashMap::new(), 0);
    wait_for("retention goes past all positions and comes to rest", Duration::from_secs(60), async || {
        let now = starts(&viewer.offsets().await.ok()?);
        let past = now.iter().all(|(partition, start)| start > &positions[partition]);
        // It looks once a second, and what it may delete it deletes at once.
        same = if now == last { same + 1 } else { 0 };
        last.clone_from(&now);
        (past && same > 20).then_some(now)
    })
    .await
}

/// The account, the metrics and the logs say the same as the tables.
async fn assert_told(system: &System, verdict: &Verdict) {
    assert!(verdict.wrong.is_empty(), "{}", verdict.wrong.join("\n"));
    assert_eq!((verdict.duplicated, verdict.out_of_order), (0, 0), "{verdict}");
    assert_eq!(verdict.stored + verdict.lost, verdict.acknowledged, "{verdict}");
    let ledger = Ledger::read(&system.parts).await.unwrap();
    assert_eq!((ledger.lost, ledger.balanced), (verdict.lost, true));
    let mut counted = 0;
    for consumer in &system.consumers {
        let url = format!("http://{}/metrics", consumer.admin().unwrap());
        let metrics = http().get(url).send().await.unwrap().text().await.unwrap();
        counted += metric(&metrics, "logpipeline_consumer_events_lost_total");
    }
    assert_eq!(counted, verdict.lost, "by the consumers' metrics");
    let warnings = said(&system.consumers, "retention deleted records before they were read");
    let logged: usize = warnings.iter().map(|line| field(line, "lost=")).sum();
    assert_eq!(logged, verdict.lost, "by the consumers' logs:\n{}", warnings.join("\n"));
}

fn metric(metrics: &str, name: &str) -> usize {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse().unwrap()
}

fn field(line: &str, name: &str) -> usize {
    let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("{name} is not in {line}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
