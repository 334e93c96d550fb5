//! The consumers' own account, summed over all partitions.

use crate::parts::Parts;
use anyhow::{Context, Result};

/// What became of every offset, by the consumers' account.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Offsets whose event is stored.
    pub stored: usize,
    /// Of those: repetitions of an event that was there.
    pub duplicates: usize,
    /// Offsets whose record is a dead letter.
    pub dead_lettered: usize,
    /// Offsets that retention deleted before they were read.
    pub lost: usize,
    /// Whether the account of each partition adds up.
    pub balanced: bool,
}

impl Ledger {
    /// Reads it, past the proxy.
    ///
    /// # Errors
    /// When the database does not answer, or has no tables yet.
    pub async fn read(parts: &Parts) -> Result<Ledger> {
        let sums =
            "SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(dead_lettered), 0),
                coalesce(sum(lost), 0),
                coalesce(bool_and(next_offset - start_offset = stored + dead_lettered + skipped + lost), true)
            FROM consumer_offsets";
        let rows = parts.sql(sums).await?;
        let mut columns = rows.first().context("no row")?.split('|');
        let mut column = || columns.next().context("a column is missing");
        Ok(Ledger {
            stored: column()?.parse()?,
            duplicates: column()?.parse()?,
            dead_lettered: column()?.parse()?,
            lost: column()?.parse()?,
            balanced: column()? == "t",
        })
    }
}
