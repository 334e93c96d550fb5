//! Lays the ledger beside the topic again and again, for metrics: how far storing is behind, what retention leaves of that
//! distance, and whether every offset is accounted for. The gateway does so because it is there when consumers are not.

use crate::{
    Gateway,
    ledger::{Ledger, join},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::LedgerRow;
use tokio_util::sync::CancellationToken;
use topic::PartitionOffsets;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// How long the topic or the store may take.
const DEADLINE: Duration = Duration::from_secs(4);

/// What was seen last of either side.
#[derive(Debug, Default)]
struct Seen {
    rows: Vec<LedgerRow>,
    offsets: Vec<PartitionOffsets>,
}

/// The metrics of an audit; clones show the same.
#[derive(Debug, Clone, Default)]
struct Audit(Arc<Mutex<Seen>>);

/// Looks until `stop`; shows what it sees in `registry`. Needs a runtime.
pub(crate) fn start(gateway: Gateway, registry: &mut Registry, stop: CancellationToken) {
    let audit = Audit::default();
    registry.register_collector(Box::new(audit.clone()));
    tokio::spawn(async move {
        loop {
            audit.look(&gateway).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

impl Audit {
    /// A side that does not answer stays as it was: while the store is out, what comes into the topic shows as lag.
    async fn look(&self, gateway: &Gateway) {
        let rows = gateway.reads().ask(gateway.store().ledger());
        let (rows, offsets) = tokio::join!(
            tokio::time::timeout(DEADLINE, rows),
            tokio::time::timeout(DEADLINE, gateway.topic().offsets()),
        );
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(rows)) = rows {
            seen.rows = rows;
        }
        if let Ok(Ok(offsets)) = offsets {
            seen.offsets = offsets;
        }
    }
}

/// One number of every partition.
type Numbers = BTreeMap<i32, i64>;

/// What is shown of a ledger, by partition; epochs of one partition are added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    appended: Numbers,
    lag: Numbers,
    headroom: Numbers,
    fates: BTreeMap<(i32, &'static str), i64>,
    unaccounted: i64,
}

impl Figures {
    fn of(ledger: &Ledger, offsets: &[PartitionOffsets]) -> Figures {
        let mut figures = Figures::default();
        for partition in &ledger.partitions {
            let row = partition.row;
            if let (Some(lag), Some(of)) =
                (partition.lag, offsets.iter().find(|of| of.partition == row.partition))
            {
                figures.lag.insert(row.partition, lag);
                figures.appended.insert(row.partition, of.end);
                figures.headroom.insert(row.partition, row.next - of.log_start);
            }
            for (fate, count) in [
                ("stored", row.stored - row.duplicates),
                ("duplicate", row.duplicates),
                ("dead_lettered", row.dead_lettered - row.retrying),
                ("retrying", row.retrying),
                ("skipped", row.skipped),
                ("lost", row.lost),
            ] {
                *figures.fates.entry((row.partition, fate)).or_default() += count;
            }
            let accounted = row.stored + row.dead_lettered + row.skipped + row.lost;
            figures.unaccounted += (row.next - row.start - accounted).abs();
        }
        figures
    }
}

impl Collector for Audit {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = {
            let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ledger = join(&seen.rows, Ok(seen.offsets.clone()));
            Figures::of(&ledger, &seen.offsets)
        };
        let help = "Records ever appended to a partition of the topic: its end offset";
        let mut family = encoder.encode_descriptor("topic_records", help, None, MetricType::Counter)?;
        for (partition, count) in &figures.appended {
            let count = ConstCounter::new(u64::try_from(*count).unwrap_or(0));
            count.encode(family.encode_family(&[("partition", *partition)])?)?;
        }
        for (name, help, numbers) in [
            (
                "lag_records",
                "Records of a partition that are in the topic and not accounted for yet",
                &figures.lag,
            ),
            (
                "headroom_records",
                "Records of a partition between the topic's oldest and the next to store: retention has to delete so \
                 many before one is lost",
                &figures.headroom,
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (partition, number) in numbers {
                ConstGauge::new(*number).encode(family.encode_family(&[("partition", *partition)])?)?;
            }
        }
        let help = "What became of the records of a partition, by the ledger";
        let mut family = encoder.encode_descriptor("ledger_records", help, None, MetricType::Gauge)?;
        for ((partition, fate), count) in &figures.fates {
            let labels = [("partition", partition.to_string()), ("fate", (*fate).to_owned())];
            ConstGauge::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let help = "Offsets that the ledger does not account for, or accounts for twice; always 0";
        let gauge = ConstGauge::new(figures.unaccounted);
        gauge.encode(encoder.encode_descriptor(
            "ledger_unaccounted_records",
            help,
            None,
            MetricType::Gauge,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topic::TopicId;
    use uuid::Uuid;

    #[test]
    fn lag_grows_while_only_the_topic_answers_and_what_does_not_add_up_is_counted() {
        let topic = Uuid::from_u128(1);
        let row = LedgerRow {
            topic,
            partition: 2,
            epoch: 0,
            start: 0,
            next: 10,
            stored: 8,
            duplicates: 1,
            dead_lettered: 2,
            retrying: 1,
            skipped: 0,
            lost: 0,
        };
        let offsets = [PartitionOffsets { topic: TopicId(topic), partition: 2, log_start: 3, end: 25 }];
        let figures = |row| Figures::of(&join(&[row], Ok(offsets.to_vec())), &offsets);
        let whole = figures(row);
        assert_eq!(
            (whole.lag[&2], whole.headroom[&2], whole.appended[&2], whole.unaccounted),
            (15, 7, 25, 0)
        );
        assert_eq!((whole.fates[&(2, "stored")], whole.fates[&(2, "dead_lettered")]), (7, 1));
        assert_eq!(figures(LedgerRow { stored: 6, ..row }).unaccounted, 2);
    }
}
