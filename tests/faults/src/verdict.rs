//! What became of every event, counted on the real parts, past all services.

use crate::{load::Acknowledged, parts::Parts};
use anyhow::{Context, Result, bail};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use topic::{
    Event, Viewer,
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
    let positions = parts.sql("SELECT topic_id, partition, next_offset FROM consumer_offsets").await?;
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
    let published = published(parts).await?;
    let mut seen = HashSet::new();
    for (place, payload) in &published {
        if !seen.insert(place) {
            verdict.duplicated += 1;
        }
        if letters.get(place) != Some(payload) {
            verdict
                .wrong
                .push(format!("the dead letter of {place} is not as it was in the topic: {payload}"));
        }
    }
    verdict.lost += letters.keys().filter(|place| !seen.contains(place)).count();
    Ok(())
}

/// Everything on the dead-letter topic: where it came from, and its bytes.
async fn published(parts: &Parts) -> Result<Vec<(String, String)>> {
    let topic = topic(parts, parts.dead_letter_topic())?;
    let viewer = topic.viewer();
    let ends: HashMap<i32, i64> =
        viewer.offsets().await?.iter().map(|of| (of.partition, of.end)).filter(|(_, end)| *end > 0).collect();
    let (mut tail, mut read, mut letters) = (viewer.tail(), HashMap::new(), Vec::new());
    while ends.iter().any(|(partition, end)| read.get(partition).is_none_or(|next| next < end)) {
        // A transaction ends with a record that no reader sees: nothing more comes after the last letter.
        let Ok(event) = timeout(Duration::from_secs(5), tail.next()).await else { break };
        match event? {
            Event::Assigned(all) => all.iter().for_each(|of| tail.start(of.partition, of.log_start)),
            Event::Revoked(_) | Event::Truncated(_) => {}
            Event::Records(batch) => {
                for record in batch.records {
                    read.insert(batch.partition, record.offset + 1);
                    let header = |name: &str| {
                        let value = record.headers.iter().find(|(known, _)| known.ends_with(name));
                        value
                            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                            .unwrap_or_default()
                    };
                    let place = format!("{}/{}", header(".partition"), header(".offset"));
                    letters.push((place, String::from_utf8_lossy(&record.payload).into_owned()));
                }
            }
        }
    }
    Ok(letters)
}

async fn check_ledger(parts: &Parts, verdict: &mut Verdict) -> Result<()> {
    let sums = "SELECT sum(stored - duplicates) || '|' || sum(dead_lettered) || '|' || sum(lost) FROM consumer_offsets";
    let rows = parts.sql(sums).await?;
    let expected = format!("{}|{}|0", verdict.stored, verdict.dead_lettered);
    if rows.first() != Some(&expected) {
        verdict.wrong.push(format!("the ledger says {rows:?} where the tables have {expected}"));
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
