//! Two gateways and one Redis: an organisation gets its limit, not twice of it, and another loses nothing.

use crate::{
    door::{Behind, Door},
    support::{connected, fresh, shared},
};
use gateway::limits::Config;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Events a second of the limit.
const LIMIT: u64 = 500;
/// How often that is asked for.
const TIMES: u64 = 10;
const LASTS: Duration = Duration::from_secs(30);
/// After the first refusal bursts are used up, also those that a gateway gave away alone.
const SETTLES: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Count {
    accepted: AtomicU64,
    refused: AtomicU64,
    from: std::sync::OnceLock<Instant>,
}

impl Count {
    /// Counts what is accepted in 30 s, from a second after the first refusal on.
    fn count(&self, status: u16, events: usize) {
        if status == 429 {
            self.from.get_or_init(Instant::now);
            self.refused.fetch_add(events as u64, Ordering::Relaxed);
        } else {
            assert_eq!(status, 202);
            if self.from.get().is_some_and(|from| (SETTLES..SETTLES + LASTS).contains(&from.elapsed())) {
                self.accepted.fetch_add(events as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Sends requests of `size` events, so many events a second, each when it is due, until the end.
async fn send(door: Door, organization: String, per_second: u64, sizes: [usize; 4], count: Arc<Count>) {
    let begun = tokio::time::Instant::now();
    let mut sent = 0;
    for size in sizes.into_iter().cycle() {
        let due = begun + Duration::from_micros(sent * 1_000_000 / per_second);
        if due.duration_since(begun) > LASTS + Duration::from_secs(5) {
            return;
        }
        tokio::time::sleep_until(due).await;
        sent += size as u64;
        let status = door.write(&organization, size).await.status.as_u16();
        count.count(status, size);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_give_ten_times_too_much_the_limit_within_two_percent() {
    let behind = Behind::new();
    let limits = format!(r#"{{"default":{{"write":{{"perSecond":{LIMIT},"burst":{LIMIT}}}}}}}"#);
    let (noisy, quiet) = (fresh("noisy"), fresh("quiet"));
    let (noise, peace) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut doors = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let deadline = Config::default().deadline;
        let config = Config { gateways: 2, deadline, ..behind.limits(&limits) };
        let door = behind.door(config, Some(connected(&shared()).await));
        doors.push(door.clone());
        for sizes in [[1, 40, 7, 20], [10, 10, 10, 10], [3, 90, 2, 5], [25, 1, 1, 60]] {
            let share = LIMIT * TIMES / 8;
            tasks.spawn(send(door.clone(), noisy.clone(), share, sizes, Arc::clone(&noise)));
        }
        // Nine tenths of the limit, by both gateways together.
        let share = LIMIT * 9 / 20;
        tasks.spawn(send(door, quiet.clone(), share, [10, 20, 5, 10], Arc::clone(&peace)));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let accepted = noise.accepted.load(Ordering::Relaxed);
    let (refused, lost) = (noise.refused.load(Ordering::Relaxed), peace.refused.load(Ordering::Relaxed));
    let wanted = LIMIT * LASTS.as_secs();
    for door in &doors {
        println!("{:#?}", door.metrics("rate_limit_"));
    }
    println!("in 30 s {accepted} events of {wanted}, {refused} refused; the other organisation lost {lost}");
    assert!(accepted.abs_diff(wanted) * 50 <= wanted, "{accepted} is not within 2 % of {wanted}");
    assert!(
        refused > wanted * (TIMES - 3),
        "only {refused} events were refused: it was not ten times the limit"
    );
    assert_eq!(lost, 0, "the other organisation stayed within its limit");
}
