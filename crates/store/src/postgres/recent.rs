//! Ids that a partition stored last: tells an event that a client sent again because it did not hear our answer.
//!
//! A unique index on the rows would cost half of the rate. Events of an organisation keep to one partition, a partition to
//! one consumer, and repetitions come within minutes: so the consumer remembers the ids of its partitions in memory,
//! and each flush keeps its own in a row, for whoever has the partition next. What is in memory is right when it was
//! filled up to the very position that the flush moves, and no retry of a letter added to it since: the flush hears both
//! from the row that it has locked. After any failure it is forgotten and read again.
//!
//! Ids of all epochs of a partition count: what was stored before its end was lost is stored still.

use super::failure::Failure;
use crate::{Flush, PartitionKey};
use record::{LogRecord, Uuid};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An id and a hash of its organisation: ids of one say nothing about those of another.
type Key = (Uuid, u64);
const KEY_BYTES: usize = 24;
/// Epoch and position after a flush: the order in which a partition stored.
type Place = (i32, i64);
/// What was not used for so long belongs to a partition that another consumer has by now.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// What the partitions of this process remember.
pub(super) struct Recent {
    /// Ids a partition remembers; 0 for none.
    most: usize,
    windows: Mutex<HashMap<PartitionKey, Window>>,
}

/// Ids of the last flushes of one partition, up to a position.
pub(super) struct Window {
    position: i64,
    /// How often retries had added ids when they were read.
    ids_by_retry: i64,
    ids: HashSet<Key>,
    /// Ids by flush, oldest first.
    flushes: VecDeque<(Place, Vec<Key>)>,
    used: Instant,
}

/// What a flush adds to the window.
pub(super) struct Sorted {
    /// For each row whether it is a repetition.
    pub(super) repeated: Vec<bool>,
    /// How many are.
    pub(super) duplicates: usize,
    window: Option<Window>,
    of: PartitionKey,
}

impl Recent {
    pub(super) fn new(most: usize) -> Recent {
        Recent { most, windows: Mutex::default() }
    }

    /// Tells repetitions among the rows of a flush that has locked its partition. The window is taken out, so that it is
    /// forgotten unless [`Recent::keep`] puts it back after the commit.
    pub(super) async fn sort(
        &self,
        connection: &mut PgConnection,
        flush: &Flush,
        ids_by_retry: i64,
    ) -> Result<Sorted, Failure> {
        let Flush { of, expected, next, rows, .. } = flush;
        let mut sorted = Sorted { repeated: vec![false; rows.len()], duplicates: 0, window: None, of: *of };
        if self.most == 0 {
            return Ok(sorted);
        }
        let known = self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
        let is_right = |window: &Window| (window.position, window.ids_by_retry) == (*expected, ids_by_retry);
        let mut window = match known.filter(is_right) {
            Some(window) => window,
            None => Window { ids_by_retry, ..load(connection, *of, *expected).await? },
        };
        let mut new = Vec::with_capacity(rows.len());
        for (record, repeated) in rows.iter().zip(&mut sorted.repeated) {
            let key = key(record);
            if window.ids.insert(key) {
                new.push(key);
            } else {
                *repeated = true;
                sorted.duplicates += 1;
            }
        }
        window.push((of.epoch, *next), new);
        sorted.window = Some(window);
        Ok(sorted)
    }

    /// SQL that keeps what the flush added, and deletes what is beyond the limit. Nothing but numbers goes into it.
    pub(super) fn sql(&self, sorted: &Sorted) -> String {
        let mut sql = String::new();
        let Some(window) = &sorted.window else { return sql };
        if let Some((place, new)) = window.flushes.back().filter(|(_, new)| !new.is_empty()) {
            insert_sql(&mut sql, sorted.of, *place, new);
        }
        if let Some((epoch, last)) = window.beyond(self.most) {
            let (topic, partition) = (sorted.of.topic, sorted.of.partition);
            let _ = write!(
                sql,
                "DELETE FROM recent_ids WHERE topic_id = '{topic}' AND partition = {partition}
                     AND (epoch, next_offset) <= ({epoch}, {last}); "
            );
        }
        sql
    }

    /// Whether a letter's event repeats one that its partition stored. If not, its id is kept in its turn, and whoever
    /// has the partition will hear of it. Locks the partition until the transaction ends.
    pub(super) async fn meet(
        &self,
        connection: &mut PgConnection,
        of: PartitionKey,
        record: &LogRecord,
    ) -> Result<bool, Failure> {
        if self.most == 0 {
            return Ok(false);
        }
        let newest = sqlx::query(
            "UPDATE consumer_offsets SET ids_by_retry = ids_by_retry + 1
             WHERE topic_id = $1::text::uuid AND partition = $2 AND NOT ended RETURNING epoch, next_offset",
        )
        .bind(of.topic.to_string())
        .bind(of.partition)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(newest) = newest else { return Ok(false) };
        let of = PartitionKey { epoch: newest.try_get(0)?, ..of };
        let position = newest.try_get(1)?;
        let key = key(record);
        if load(connection, of, position).await?.ids.contains(&key) {
            return Ok(true);
        }
        let mut sql = String::new();
        insert_sql(&mut sql, of, (of.epoch, position), &[key]);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(false)
    }

    /// Remembers what the flush added, now that it is committed.
    pub(super) fn keep(&self, sorted: Sorted) {
        let Some(mut window) = sorted.window else { return };
        if let Some(last) = window.beyond(self.most) {
            window.forget(last);
        }
        window.used = Instant::now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, other| other.used.elapsed() < FORGOTTEN_AFTER);
        windows.insert(sorted.of, window);
    }
}

impl Window {
    fn push(&mut self, place: Place, new: Vec<Key>) {
        self.position = place.1;
        self.flushes.push_back((place, new));
    }

    /// Place of the last flush that has to go so that at most so many ids are left; none when there are not more.
    fn beyond(&self, most: usize) -> Option<Place> {
        let mut left = self.ids.len();
        let gone = self.flushes.iter().take_while(|(_, ids)| {
            let too_many = left > most;
            left = left.saturating_sub(ids.len());
            too_many
        });
        gone.last().map(|(place, _)| *place)
    }

    fn forget(&mut self, last: Place) {
        while let Some((place, ids)) = self.flushes.front()
            && *place <= last
        {
            ids.iter().for_each(|key| {
                self.ids.remove(key);
            });
            self.flushes.pop_front();
        }
    }
}

/// The first offset from which on the ids of all events that an epoch stored are still kept. `began` is where the epoch
/// began, and `stored` how many it stored.
pub(super) async fn known_from(
    connection: &mut PgConnection,
    of: PartitionKey,
    began: i64,
    stored: i64,
) -> Result<Option<i64>, Failure> {
    let kept = sqlx::query(
        "SELECT min(next_offset), coalesce(sum(octet_length(ids)), 0)::bigint FROM recent_ids
         WHERE topic_id = $1::text::uuid AND partition = $2 AND epoch = $3",
    )
    .bind(of.topic.to_string())
    .bind(of.partition)
    .bind(of.epoch)
    .fetch_one(connection)
    .await?;
    let ids = kept.try_get::<i64, _>(1)? / i64::try_from(KEY_BYTES).unwrap_or(1);
    // Of the oldest flush that is kept, only the end is known.
    Ok(if ids >= stored { Some(began) } else { kept.try_get(0)? })
}

/// Appends SQL that keeps the ids of a flush. Nothing but numbers goes into it.
fn insert_sql(sql: &mut String, of: PartitionKey, (epoch, next): Place, new: &[Key]) {
    let PartitionKey { topic, partition, .. } = of;
    sql.reserve(new.len() * KEY_BYTES * 2 + 512);
    let _ = write!(
        sql,
        "INSERT INTO recent_ids (topic_id, partition, epoch, next_offset, ids)
             VALUES ('{topic}', {partition}, {epoch}, {next}, '\\x"
    );
    let mut hex = [0; 32];
    for (id, organization) in new {
        sql.push_str(id.simple().encode_lower(&mut hex));
        sql.push_str(&Uuid::from_u64_pair(*organization, 0).simple().encode_lower(&mut hex)[..16]);
    }
    // There may be ids of a retry, or of the first time when somebody set the position back.
    sql.push_str(
        "') ON CONFLICT (topic_id, partition, epoch, next_offset)
             DO UPDATE SET ids = recent_ids.ids || excluded.ids, stored_on = excluded.stored_on; ",
    );
}

/// Reads what earlier flushes kept, those of earlier epochs too.
async fn load(connection: &mut PgConnection, of: PartitionKey, position: i64) -> Result<Window, Failure> {
    let kept = sqlx::query(
        "SELECT epoch, next_offset, ids FROM recent_ids
         WHERE topic_id = $1::text::uuid AND partition = $2 AND (epoch, next_offset) <= ($3, $4)
         ORDER BY epoch, next_offset",
    )
    .bind(of.topic.to_string())
    .bind(of.partition)
    .bind(of.epoch)
    .bind(position)
    .fetch_all(connection)
    .await?;
    let (ids, flushes) = (HashSet::new(), VecDeque::new());
    let mut window = Window { position, ids_by_retry: 0, ids, flushes, used: Instant::now() };
    for row in &kept {
        let ids: Vec<Key> = row.try_get::<&[u8], _>(2)?.chunks_exact(KEY_BYTES).map(read_key).collect();
        window.ids.extend(&ids);
        window.push((row.try_get(0)?, row.try_get(1)?), ids);
    }
    window.position = position;
    Ok(window)
}

fn read_key(bytes: &[u8]) -> Key {
    let (id, organization) = bytes.split_at(16);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    (Uuid::from_u128(number(id)), u64::try_from(number(organization)).unwrap_or(u64::MAX))
}

fn key(record: &LogRecord) -> Key {
    (record.id, hash(record.organization_id.as_str()))
}

/// FNV-1a: short, and the same in every process and version, because it is kept.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
