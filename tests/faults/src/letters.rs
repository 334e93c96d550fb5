//! What is on the topics, record by record.

use crate::{parts::Parts, verdict::topic};
use anyhow::{Context, Result};
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;
use topic::{Event, Record};

/// A record of one of the topics.
#[derive(Debug, Clone)]
pub struct OnTopic {
    /// Its partition.
    pub partition: i32,
    /// The record.
    pub record: Record,
}

impl OnTopic {
    /// The header of that name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let header = self.record.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Of a dead letter: the partition and offset it came from, with `/` between.
    ///
    /// # Errors
    /// When its headers do not say.
    pub fn place(&self) -> Result<String> {
        let part = |name: &str| {
            let name = format!("logpipeline.dead-letter.{name}");
            self.header(&name).with_context(|| format!("a dead letter has no header {name}"))
        };
        Ok(format!("{}/{}", part("partition")?, part("offset")?))
    }

    /// Its bytes, as text.
    pub fn payload(&self) -> String {
        String::from_utf8_lossy(&self.record.payload).into_owned()
    }
}

/// Everything on the dead-letter topic.
///
/// # Errors
/// When it cannot be read.
pub async fn published(parts: &Parts) -> Result<Vec<OnTopic>> {
    records(parts, parts.dead_letter_topic()).await
}

/// Everything on a topic.
///
/// # Errors
/// When it cannot be read.
pub async fn records(parts: &Parts, name: String) -> Result<Vec<OnTopic>> {
    let topic = topic(parts, name)?;
    let viewer = topic.viewer();
    let ends: HashMap<i32, i64> =
        viewer.offsets().await?.iter().map(|of| (of.partition, of.end)).filter(|(_, end)| *end > 0).collect();
    let (mut tail, mut read, mut records) = (viewer.tail(), HashMap::new(), Vec::new());
    while ends.iter().any(|(partition, end)| read.get(partition).is_none_or(|next| next < end)) {
        // A transaction ends with a record that no reader sees: nothing more comes after its last one.
        let Ok(event) = timeout(Duration::from_secs(5), tail.next()).await else { break };
        match event? {
            Event::Assigned(all) => all.iter().for_each(|of| tail.start(of.partition, of.log_start)),
            Event::Revoked(_) | Event::Truncated(_) => {}
            Event::Records(batch) => {
                for record in batch.records {
                    read.insert(batch.partition, record.offset + 1);
                    records.push(OnTopic { partition: batch.partition, record });
                }
            }
        }
    }
    Ok(records)
}
