//! A member of a group, and the viewer.

use super::cursors::{Cursors, Due};
use super::fetch::{self, FetchError, FileReader};
use super::group::{Group, Membership, News};
use super::shared::{Published, Shared};
use crate::{Assignment, Batch, Event, PartitionOffsets, ReadError, Reader, Truncation, Viewer};
use async_trait::async_trait;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// A reader that waits for news of its group and of the ends of the partitions.
pub(super) struct GroupReader {
    shared: Arc<Shared>,
    membership: Membership,
    published: watch::Receiver<Published>,
    cursors: Cursors,
    /// Starts beyond the end, to be told.
    truncations: VecDeque<Truncation>,
    /// Reads the file; away while a fetch is under way.
    file: Option<FileReader>,
    fetch: Option<Fetch>,
}

/// Reading the file in another thread. One at a time: begun before it is asked for, it overlaps with the work on the
/// records delivered last.
struct Fetch {
    due: Due,
    task: JoinHandle<(FileReader, Result<Batch, FetchError>)>,
}

type Fetched = (Due, Result<(FileReader, Result<Batch, FetchError>), JoinError>);

impl GroupReader {
    /// Joins the group.
    pub(super) fn join(shared: &Arc<Shared>, group: &Arc<Group>) -> GroupReader {
        GroupReader {
            shared: shared.clone(),
            membership: group.join(),
            published: shared.published.subscribe(),
            cursors: Cursors::default(),
            truncations: VecDeque::new(),
            file: None,
            fetch: None,
        }
    }

    fn take_news(&mut self) -> Option<Event> {
        let Some(news) = self.membership.take() else {
            return self.truncations.pop_front().map(Event::Truncated);
        };
        match news {
            News::Assigned(partitions) => {
                let offsets = self.shared.offsets();
                let ours = offsets.into_iter().filter(|offsets| partitions.contains(&offsets.partition));
                let assignments = ours.map(|PartitionOffsets { topic, partition, log_start, end }| {
                    self.cursors.assign(partition);
                    Assignment { topic, partition, log_start, end }
                });
                Some(Event::Assigned(assignments.collect()))
            }
            News::Revoked(revocation) => {
                for partition in &revocation.partitions {
                    self.cursors.revoke(*partition);
                }
                self.truncations.retain(|one| !revocation.partitions.contains(&one.partition));
                Some(Event::Revoked(revocation))
            }
        }
    }

    /// Records that are at hand; begins to fetch them when they are not.
    fn deliver_or_fetch(&mut self) -> Option<Result<Event, ReadError>> {
        if self.fetch.is_some() {
            return None;
        }
        if let Some((partition, log_start)) = self.cursors.take_emptied(&self.published.borrow().extents) {
            return Some(Ok(Event::Records(Batch { partition, log_start, records: Vec::new() })));
        }
        let (due, log_start) = self.next_due()?;
        match fetch::from_memory(&self.shared, due, log_start) {
            Some(batch) => Some(self.deliver(due, batch.map_err(|error| ReadError(error.to_string())))),
            None => {
                self.begin_fetch(due);
                None
            }
        }
    }

    fn next_due(&mut self) -> Option<(Due, i64)> {
        let published = self.published.borrow_and_update();
        let due = self.cursors.next_due(&published.extents)?;
        let extent = usize::try_from(due.partition).ok().and_then(|index| published.extents.get(index))?;
        Some((due, extent.log_start))
    }

    fn begin_fetch(&mut self, due: Due) {
        self.cursors.start(due.partition, due.offset);
        let mut file = self.file.take().unwrap_or_else(|| FileReader::new(self.shared.path.clone()));
        let task = tokio::task::spawn_blocking(move || {
            let batch = file.fetch(due);
            (file, batch)
        });
        self.fetch = Some(Fetch { due, task });
    }

    /// Takes what was fetched. Nothing when it is not wanted any more: paused, moved or revoked meanwhile.
    fn fetched(&mut self, (due, fetched): Fetched) -> Option<Result<Event, ReadError>> {
        self.fetch = None;
        let batch = match fetched {
            Ok((file, batch)) => {
                self.file = Some(file);
                batch.map_err(|error| ReadError(error.to_string()))
            }
            Err(error) => Err(ReadError(error.to_string())),
        };
        self.cursors.is_due(due).then(|| self.deliver(due, batch))
    }

    /// Ends the turn of the partition, and looks ahead: the next fetch runs while the caller works on these records.
    fn deliver(&mut self, due: Due, batch: Result<Batch, ReadError>) -> Result<Event, ReadError> {
        self.cursors.served(due.partition);
        let batch = batch?;
        if let Some(last) = batch.records.last() {
            self.cursors.start(batch.partition, last.offset + 1);
        }
        if let Some((due, _)) = self.next_due()
            && !self.shared.remembers(due)
        {
            self.begin_fetch(due);
        }
        Ok(Event::Records(batch))
    }
}

#[async_trait]
impl Reader for GroupReader {
    async fn next(&mut self) -> Result<Event, ReadError> {
        // A caller that never waits elsewhere lets others run here; nothing is in hand yet.
        tokio::task::consume_budget().await;
        loop {
            if let Some(news) = self.take_news() {
                return Ok(news);
            }
            if let Some(records) = self.deliver_or_fetch() {
                return records;
            }
            let idle = self.fetch.is_none();
            if idle && self.published.borrow().closed {
                return Err(ReadError("it is closed".into()));
            }
            tokio::select! {
                () = self.membership.changed() => {}
                fetched = wait(&mut self.fetch) => {
                    if let Some(records) = self.fetched(fetched) {
                        return records;
                    }
                }
                // The sender lives as long as `shared`.
                _ = self.published.changed(), if idle => {}
            }
        }
    }

    fn start(&mut self, partition: i32, offset: i64) {
        let offsets = self.shared.offsets().into_iter().find(|offsets| offsets.partition == partition);
        self.truncations.retain(|one| one.partition != partition);
        match offsets {
            Some(PartitionOffsets { log_start, end, .. }) if offset > end && self.cursors.stop(partition) => {
                self.truncations.push_back(Truncation { partition, offset, log_start, end });
            }
            _ if !self.cursors.start(partition, offset) => {
                tracing::warn!(partition, "start of a partition that this reader does not own");
            }
            _ => {}
        }
    }

    fn pause(&mut self, partition: i32) {
        self.cursors.set_paused(partition, true);
    }

    fn resume(&mut self, partition: i32) {
        self.cursors.set_paused(partition, false);
    }

    fn commit(&mut self, partition: i32, next_offset: i64) {
        self.membership.commit(partition, next_offset);
    }
}

/// Waits for the fetch; for ever when there is none.
async fn wait(fetch: &mut Option<Fetch>) -> Fetched {
    match fetch {
        Some(fetch) => (fetch.due, (&mut fetch.task).await),
        None => std::future::pending().await,
    }
}

/// Looks at the partitions of a topic.
pub(super) struct TopicViewer {
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl Viewer for TopicViewer {
    async fn offsets(&self) -> Result<Vec<PartitionOffsets>, ReadError> {
        Ok(self.shared.offsets())
    }

    fn tail(&self) -> Box<dyn Reader> {
        let alone = Group::new(self.shared.offsets().len());
        Box::new(GroupReader::join(&self.shared, &alone))
    }
}
