//! What has become of the events so far.

use crate::{replay::Progress, source::Due};
use hdrhistogram::Histogram;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Distinct reasons that are kept; events with others are only counted.
const REASONS: usize = 5;
/// Longest latency that is told apart.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// Counts of a run, shared by its workers.
pub(crate) struct Stats(Mutex<Counts>);

/// The counts at one moment.
#[derive(Clone)]
pub(crate) struct Counts {
    /// Events that were taken to be sent.
    pub(crate) taken: u64,
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// Requests that had to be repeated, in whole or in part.
    pub(crate) retries: u64,
    /// How late the last batch was taken.
    pub(crate) late: Duration,
    /// How far reading has come.
    pub(crate) read: Option<Progress>,
    /// Why events are tried again; `None` when the last answer was good.
    pub(crate) trouble: Option<String>,
    pub(crate) reasons: Vec<Reason>,
    /// From when each batch was due to its last acknowledgement, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// The same since the last look.
    pub(crate) recent: Histogram<u64>,
}

/// What became of events that were not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The pipeline refused them for good.
    Rejected,
    /// They could not be sent.
    Failed,
}

/// Why events were not acknowledged, and how many for this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) trouble: Trouble,
    pub(crate) text: String,
    pub(crate) events: u64,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        let latency = Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("the bounds are in order");
        Stats(Mutex::new(Counts {
            taken: 0,
            acknowledged: 0,
            rejected: 0,
            failed: 0,
            retries: 0,
            late: Duration::ZERO,
            read: None,
            trouble: None,
            reasons: Vec::new(),
            recent: latency.clone(),
            latency,
        }))
    }

    /// A batch was taken to be sent.
    pub(crate) fn taken(&self, due: &Due) {
        let mut counts = self.counts();
        counts.taken += due.batch.len() as u64;
        counts.late = Instant::now().saturating_duration_since(due.due);
        counts.read = due.progress.or(counts.read);
    }

    /// Events were acknowledged; with the latency of their batch when it has become whole.
    pub(crate) fn accepted(&self, events: usize, latency: Option<Duration>) {
        let mut counts = self.counts();
        counts.acknowledged += events as u64;
        counts.trouble = None;
        if let Some(latency) = latency {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            counts.latency.saturating_record(micros);
            counts.recent.saturating_record(micros);
        }
    }

    /// Events are given up.
    pub(crate) fn lost(&self, trouble: Trouble, reason: &str, events: usize) {
        let mut counts = self.counts();
        let events = events as u64;
        match trouble {
            Trouble::Rejected => counts.rejected += events,
            Trouble::Failed => counts.failed += events,
        }
        let known = counts.reasons.iter_mut().find(|of| of.trouble == trouble && of.text == reason);
        if let Some(known) = known {
            known.events += events;
        } else if counts.reasons.len() < REASONS {
            counts.reasons.push(Reason { trouble, text: reason.to_owned(), events });
        }
    }

    /// A request has to be repeated.
    pub(crate) fn retrying(&self, reason: &str) {
        let mut counts = self.counts();
        counts.retries += 1;
        counts.trouble = Some(reason.to_owned());
    }

    /// What was taken and has no verdict is given up: nobody waits for it any more.
    pub(crate) fn abandon(&self, reason: &str) {
        let left = {
            let counts = self.counts();
            counts.taken - counts.acknowledged - counts.rejected - counts.failed
        };
        if left > 0 {
            self.lost(Trouble::Failed, reason, usize::try_from(left).unwrap_or(usize::MAX));
        }
    }

    /// The counts now; begins a new interval of recent latencies.
    pub(crate) fn look(&self) -> Counts {
        let mut counts = self.counts();
        let seen = counts.clone();
        counts.recent.reset();
        seen
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Rejected and failed events whose reason was not kept.
    pub(crate) fn unexplained(&self) -> u64 {
        self.rejected + self.failed - self.reasons.iter().map(|of| of.events).sum::<u64>()
    }
}

/// A latency in milliseconds, such as `1.25`; 0 when there is none.
pub(crate) fn millis(histogram: &Histogram<u64>, quantile: f64) -> String {
    let micros = if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) };
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_distinct_reasons_are_kept_but_all_events_are_counted() {
        let stats = Stats::new();
        for number in 0..20 {
            stats.lost(Trouble::Rejected, &format!("reason {}", number % 10), 1);
        }
        stats.lost(Trouble::Failed, "reason 0", 3);
        let counts = stats.look();
        assert_eq!((counts.rejected, counts.failed, counts.reasons.len()), (20, 3, REASONS));
        assert_eq!(
            counts.reasons[0],
            Reason { trouble: Trouble::Rejected, text: "reason 0".into(), events: 2 }
        );
        assert_eq!(counts.unexplained(), 13);
    }

    #[test]
    fn a_look_begins_a_new_interval() {
        let stats = Stats::new();
        assert_eq!(millis(&stats.look().latency, 0.5), "0.00");
        stats.accepted(10, Some(Duration::from_micros(12_340)));
        stats.accepted(10, None);
        let (first, second) = (stats.look(), stats.look());
        assert_eq!((first.recent.len(), second.recent.len(), second.latency.len()), (1, 0, 1));
        assert_eq!((first.acknowledged, millis(&first.recent, 0.99).as_str()), (20, "12.34"));
    }
}
