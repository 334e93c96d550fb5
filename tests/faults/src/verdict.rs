//! What became of every event, counted on the real parts, past all services.

use crate::{ledger::Ledger, letters::published, load::Acknowledged, parts::Parts};
use anyhow::{Context, Result, bail};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use topic::{
    Viewer,
    kafka::{Config, Metrics, Topic},
};
use uuid::Uuid;

/// How often to look whether all is settled.
const LOOK: Duration = Duration::from_millis(300);

/// What became of everything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Events that a producer acknowledged.
    pub acknowledged: usize,
    /// Rows in the store.
    pub stored: usize,
    /// Dead letters in the store.
    pub dead_lettered: usize,
    /// Acknowledged events and records that are neither.
    pub lost: usize,
    /// Rows, and records on the dead-letter topic, beyond the first of each.
    pub duplicated: usize,
    /// Events that were stored before an earlier one of their organisation.
    pub out_of_order: usize,
    /// Whatever else is not as it should be.
    pub wrong: Vec<String>,
}

impl Verdict {
    /// Whether every event is accounted for, once, in order.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.out_of_order == 0 && self.wrong.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { acknowledged, stored, dead_lettered, lost, duplicated, out_of_order, .. } = self;
        write!(
            f,
            "acknowledged={acknowledged} stored={stored} dead_lettered={dead_lettered} lost={lost} \
             duplicated={duplicated} out_of_order={out_of_order}"
        )
    }
}

/// A viewer of one of the topics.
///
/// # Errors
/// When Kafka's client cannot be made.
pub fn topic(parts: &Parts, name: String) -> Result<Topic> {
    Ok(Topic::new(Config::new(&parts.bootstrap_servers, name), Metrics::default())?)
}

/// Waits until every record of the topic is accounted for, no letter is being tried again, and all that are given up
/// are published.
///
/// # Errors
/// When that is not so within `patience`; the message says what is missing.
pub async fn settled(parts: &Parts, patience: Duration) -> Result<()> {
    let viewer = topic(parts, parts.topic())?.viewer();
    let begun = Instant::now();
    loop {
        let missing = match unsettled(parts, &*viewer).await {
            Ok(None) => return Ok(()),
            Ok(Some(missing)) => missing,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > patience {
            bail!("after {patience:?} there is still {missing}");
        }
        sleep(LOOK).await;
    }
}

async fn unsettled(parts: &Parts, viewer: &dyn Viewer) -> Result<Option<String>> {
    let mut lag = 0;
    let positions =
        parts.sql("SELECT topic_id, partition, next_offset FROM consumer_offsets WHERE NOT ended").await?;
    let next: HashMap<(String, i32), i64> =
        positions.iter().map(|row| position(row)).collect::<Result<_>>()?;
    for of in viewer.offsets().await? {
        let known = next.get(&(of.topic.to_string(), of.partition)).copied();
        lag += of.end - known.unwrap_or(of.log_start);
    }
    if lag != 0 {
        return Ok(Some(format!("a lag of {lag}")));
    }
    let open = "SELECT count(*) FROM dead_letters WHERE published_at IS NULL";
    let letters = number(&parts.sql(open).await?)?;
    Ok((letters != 0).then(|| format!("{letters} letters that are not settled and published")))
}

fn position(row: &str) -> Result<((String, i32), i64)> {
    let mut columns = row.split('|');
    let mut column = || columns.next().context("a column is missing");
    Ok(((column()?.to_owned(), column()?.parse()?), column()?.parse()?))
}

fn number(rows: &[String]) -> Result<usize> {
    Ok(rows.first().context("no row")?.parse()?)
}

/// Counts what became of everything. `garbage` are records that were put into the topic and are no events.
///
/// # Errors
/// When the parts cannot be asked.
pub async fn count(parts: &Parts, acknowledged: &Acknowledged, garbage: &[String]) -> Result<Verdict> {
    let mut verdict =
        Verdict { acknowledged: acknowledged.values().map(Vec::len).sum(), ..Verdict::default() };
    count_rows(parts, acknowledged, &mut verdict).await?;
    count_letters(parts, garbage, &mut verdict).await?;
    check_ledger(parts, &mut verdict).await?;
    Ok(verdict)
}

async fn count_rows(parts: &Parts, acknowledged: &Acknowledged, verdict: &mut Verdict) -> Result<()> {
    let rows = parts.sql("SELECT organization_id, id FROM logs ORDER BY organization_id, place").await?;
    verdict.stored = rows.len();
    let mut stored: HashMap<&str, Vec<Uuid>> = HashMap::new();
    for row in &rows {
        let (organisation, id) = row.split_once('|').context("two columns")?;
        stored.entry(organisation).or_default().push(id.parse()?);
    }
    for (organisation, ids) in acknowledged {
        let there = stored.remove(organisation.as_str()).unwrap_or_default();
        let unique: HashSet<Uuid> = there.iter().copied().collect();
        verdict.duplicated += there.len() - unique.len();
        verdict.lost += ids.iter().filter(|id| !unique.contains(id)).count();
        verdict.out_of_order += out_of_order(ids, &there);
    }
    if let Some((organisation, ids)) = stored.into_iter().next() {
        verdict.wrong.push(format!("{} rows of {organisation}, which nobody sent", ids.len()));
    }
    Ok(())
}

/// Events that come after one that was sent later.
fn out_of_order(sent: &[Uuid], stored: &[Uuid]) -> usize {
    let places: HashMap<&Uuid, usize> = sent.iter().zip(0..).collect();
    let mut latest = None;
    stored
        .iter()
        .filter_map(|id| places.get(id))
        .filter(|place| {
            let late = latest.is_some_and(|latest| **place < latest);
            latest = latest.max(Some(**place));
            late
        })
        .count()
}

async fn count_letters(parts: &Parts, garbage: &[String], verdict: &mut Verdict) -> Result<()> {
    let query = "SELECT convert_from(payload, 'UTF8'), partition || '/' || \"offset\" FROM dead_letters";
    let rows = parts.sql(query).await?;
    verdict.dead_lettered = rows.len();
    let mut letters = HashMap::new();
    for row in &rows {
        let (payload, place) = row.rsplit_once('|').context("two columns")?;
        letters.insert(place.to_owned(), payload.to_owned());
    }
    let payloads: HashSet<&String> = letters.values().collect();
    verdict.lost += garbage.iter().filter(|payload| !payloads.contains(payload)).count();
    let mut seen = HashSet::new();
    for letter in published(parts).await? {
        let (place, payload) = (letter.place()?, letter.payload());
        if letters.get(&place) != Some(&payload) {
            verdict
                .wrong
                .push(format!("the dead letter of {place} is not as it was in the topic: {payload}"));
        }
        if !seen.insert(place) {
            verdict.duplicated += 1;
        }
    }
    let unpublished = letters.keys().filter(|place| !seen.contains(*place)).count();
    if unpublished > 0 {
        verdict.wrong.push(format!("{unpublished} dead letters are not on the topic that is for them"));
    }
    Ok(())
}

async fn check_ledger(parts: &Parts, verdict: &mut Verdict) -> Result<()> {
    let ledger = Ledger::read(parts).await?;
    let Verdict { stored, dead_lettered, lost, .. } = *verdict;
    let counted = (stored, dead_lettered, lost, true);
    let said = (ledger.stored - ledger.duplicates, ledger.dead_lettered, ledger.lost, ledger.balanced);
    if said != counted {
        verdict.wrong.push(format!(
            "(stored, dead-lettered, lost, balanced) are {said:?} by the ledger and {counted:?} by the tables"
        ));
    }
    Ok(())
}

/// Organisations of which a later event is stored and an earlier one is not, at this moment.
///
/// # Errors
/// When the database does not answer.
pub async fn gaps(parts: &Parts) -> Result<usize> {
    let query = "SELECT count(*) FROM (SELECT FROM logs WHERE service = 'load' GROUP BY organization_id
                 HAVING count(*) <> max((attributes::json ->> 'round')::int) + 1) AS gap";
    number(&parts.sql(query).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_behind_a_later_one_is_out_of_order() {
        let ids: Vec<Uuid> = (0..5).map(Uuid::from_u128).collect();
        let stored = |places: &[usize]| places.iter().map(|place| ids[*place]).collect::<Vec<_>>();
        assert_eq!(out_of_order(&ids, &stored(&[0, 1, 2, 3, 4])), 0);
        assert_eq!(out_of_order(&ids, &stored(&[0, 2, 1, 4, 3])), 2);
        assert_eq!(out_of_order(&ids, &stored(&[4])), 0);
    }
}
