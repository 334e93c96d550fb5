//! Settles in Redis what was estimated, off the way of any request.

use super::{Act, Kind, Limits, Name, Shared, metrics::Metrics};
use futures::future::join_all;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Differences that wait; more are dropped.
const WAITING: usize = 4096;
/// Differences that are settled together: those of one bucket become one.
const TOGETHER: usize = 256;
/// How long Redis may take; nobody waits.
const DEADLINE: Duration = Duration::from_millis(250);

type Difference = (Name, Kind, i64);

/// Takes differences and never waits.
#[derive(Debug)]
pub(super) struct Settler {
    sender: mpsc::Sender<Difference>,
    metrics: Metrics,
}

impl Settler {
    /// One that works until it is dropped. Needs a runtime.
    pub(super) fn start(shared: Shared, limits: watch::Receiver<Arc<Limits>>, metrics: Metrics) -> Settler {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(work(receiver, shared, limits, metrics.clone()));
        Settler { sender, metrics }
    }

    pub(super) fn settle(&self, name: Name, kind: Kind, more: i64) {
        if self.sender.try_send((name, kind, more)).is_err() {
            self.metrics.settled("dropped", 1);
        }
    }
}

async fn work(
    mut waiting: mpsc::Receiver<Difference>,
    shared: Shared,
    limits: watch::Receiver<Arc<Limits>>,
    metrics: Metrics,
) {
    let mut differences = Vec::with_capacity(TOGETHER);
    while waiting.recv_many(&mut differences, TOGETHER).await > 0 {
        let mut sums: HashMap<(Name, Kind), (i64, usize)> = HashMap::new();
        for (name, kind, more) in differences.drain(..) {
            let (sum, count) = sums.entry((name, kind)).or_default();
            *sum = sum.saturating_add(more);
            *count += 1;
        }
        let calls = sums.iter().map(|((name, kind), (sum, count))| {
            let limit = limits.borrow().of(name, *kind);
            let (shared, metrics) = (&shared, &metrics);
            async move {
                // A limit that is gone has no bucket.
                let Some(limit) = limit else { return };
                let settled = shared.act((name, *kind), limit, Act::Settle(*sum), DEADLINE, None).await;
                metrics.settled(if settled.is_ok() { "settled" } else { "failed" }, *count);
            }
        });
        join_all(calls).await;
    }
}
