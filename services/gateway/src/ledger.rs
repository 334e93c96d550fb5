//! `GET /api/v1/ledger`: what became of every offset of every partition.

use crate::{
    Gateway,
    auth::MaySeeAll,
    limits::Limited,
    reads::{Answer, Freshness, Key},
};
use axum::extract::State;
use process::problem::Problem;
use serde::Serialize;
use store::LedgerRow;
use topic::PartitionOffsets;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ledger {
    /// Whether every row adds up.
    pub(crate) balanced: bool,
    pub(crate) partitions: Vec<Partition>,
    /// Why `endOffset` and `lag` are missing, when the topic cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Partition {
    #[serde(flatten)]
    pub(crate) row: LedgerRow,
    /// Offset that the next record will get.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_offset: Option<i64>,
    /// Records that are in the topic and not accounted for yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<i64>,
    balanced: bool,
}

pub(crate) async fn ledger(
    State(gateway): State<Gateway>,
    Limited(MaySeeAll(_), _): Limited<MaySeeAll>,
) -> Result<Answer, Problem> {
    let key = Key { organization: None, route: "ledger", question: String::new() };
    let reads = gateway.reads().clone();
    let make = async move {
        let rows = gateway.reads().ask(gateway.store().ledger()).await?;
        let offsets = gateway.topic().offsets().await;
        Ok(join(&rows, offsets.map_err(|error| error.to_string())))
    };
    Ok(reads.answer(key, Freshness::Now, make).await?)
}

/// Lays the ends of the topic beside the rows of the store. A partition that the store does not know yet gets a row
/// from the topic, with everything in it as lag.
pub(crate) fn join(rows: &[LedgerRow], offsets: Result<Vec<PartitionOffsets>, String>) -> Ledger {
    let (offsets, detail) = match offsets {
        Ok(offsets) => (offsets, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let unknown = offsets.iter().filter(|of| !rows.iter().any(|row| is_of(row, of))).map(|of| LedgerRow {
        topic: of.topic.0,
        partition: of.partition,
        epoch: 0,
        start: of.log_start,
        next: of.log_start,
        stored: 0,
        duplicates: 0,
        dead_lettered: 0,
        retrying: 0,
        skipped: 0,
        lost: 0,
    });
    let mut partitions: Vec<Partition> = rows
        .iter()
        .copied()
        .chain(unknown)
        .map(|row| {
            // What the topic holds now is of the newest epoch.
            let newest = !rows.iter().any(|other| is_before(&row, other));
            let end_offset = offsets.iter().find(|of| newest && is_of(&row, of)).map(|of| of.end);
            let lag = end_offset.map(|end| (end - row.next).max(0));
            Partition { row, end_offset, lag, balanced: row.is_balanced() }
        })
        .collect();
    partitions.sort_by_key(|Partition { row, .. }| (row.topic, row.partition, row.epoch));
    Ledger { balanced: partitions.iter().all(|partition| partition.balanced), partitions, detail }
}

fn is_before(row: &LedgerRow, other: &LedgerRow) -> bool {
    (row.topic, row.partition) == (other.topic, other.partition) && row.epoch < other.epoch
}

fn is_of(row: &LedgerRow, offsets: &PartitionOffsets) -> bool {
    row.topic == offsets.topic.0 && row.partition == offsets.partition
}
