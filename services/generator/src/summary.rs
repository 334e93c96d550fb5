//! How a run ended.

use crate::{
    replay::Progress,
    stats::{Counts, Reason, Trouble, millis},
};
use std::fmt;

/// What became of the events of a run. Shown as one line of `name=value`.
#[derive(Debug)]
pub struct Summary {
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    /// Events that were due and never sent: the pipeline was too slow.
    pub(crate) behind: u64,
    pub(crate) p50_ms: String,
    pub(crate) p99_ms: String,
    pub(crate) ended: Ended,
    /// What was read, for a replay.
    pub(crate) read: Option<Progress>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) unexplained: u64,
}

/// What ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is sent: the time is over, or the file is at its end.
    Complete,
    /// The time was over before the file.
    TimeOver,
    /// Somebody stopped it.
    Stopped,
    /// No request can succeed, for this reason.
    Hopeless(String),
    /// Part of a replay could not be sent, for this reason.
    GivenUp(String),
    /// The file could not be read to its end.
    Unreadable(String),
}

impl Summary {
    pub(crate) fn new(counts: &Counts, ended: Ended, behind: u64, read: Option<Progress>) -> Summary {
        Summary {
            acknowledged: counts.acknowledged,
            rejected: counts.rejected,
            failed: counts.failed,
            retries: counts.retries,
            behind,
            p50_ms: millis(&counts.latency, 0.5),
            p99_ms: millis(&counts.latency, 0.99),
            ended,
            read,
            unexplained: counts.unexplained(),
            reasons: counts.reasons.clone(),
        }
    }

    /// Whether every event that was due was acknowledged; for a replay, whether every line of the file was.
    pub fn all_acknowledged(&self) -> bool {
        let ended = match self.ended {
            Ended::Complete => true,
            // Made-up load has no end of its own.
            Ended::Stopped => self.read.is_none(),
            _ => false,
        };
        ended && self.rejected == 0 && self.failed == 0 && self.behind == 0
    }

    /// What a person should know before the last line: why the run ended early, and why events were not acknowledged.
    pub(crate) fn explanation(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.ended {
            Ended::Complete => {}
            Ended::Stopped if self.read.is_none() => {}
            Ended::Stopped => lines.push("stopped before the end of the input".to_owned()),
            Ended::TimeOver => lines.push("the time is over before the end of the input".to_owned()),
            Ended::Hopeless(reason) => lines.push(format!("ended at once: {reason}")),
            Ended::GivenUp(reason) => {
                lines.push(format!(
                    "ended, to leave no gap: events could not be sent within --give-up-after: {reason}"
                ));
            }
            Ended::Unreadable(reason) => lines.push(format!("the input cannot be read further: {reason}")),
        }
        for Reason { trouble, text, events } in &self.reasons {
            let what = match trouble {
                Trouble::Rejected => "rejected",
                Trouble::Failed => "failed",
            };
            lines.push(format!("{events} {what}: {text}"));
        }
        if self.unexplained > 0 {
            lines.push(format!("{} rejected or failed for other reasons", self.unexplained));
        }
        if self.behind > 0 {
            lines.push(format!("{} were due and not sent: the pipeline was slower than --rate", self.behind));
        }
        lines
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { acknowledged, rejected, failed, retries, behind, p50_ms, p99_ms, .. } = self;
        let sent = acknowledged + rejected + failed;
        write!(f, "sent={sent} acknowledged={acknowledged} rejected={rejected} failed={failed} ")?;
        write!(f, "p50_ms={p50_ms} p99_ms={p99_ms} retries={retries} behind={behind}")?;
        if let Some(read) = &self.read {
            write!(f, " lines={} empty={} truncated={}", read.lines, read.empty_lines, read.truncated_lines)?;
        }
        let ended = match self.ended {
            Ended::Complete => "complete",
            Ended::TimeOver => "time-over",
            Ended::Stopped => "stopped",
            Ended::Hopeless(_) => "refused",
            Ended::GivenUp(_) => "given-up",
            Ended::Unreadable(_) => "unreadable",
        };
        write!(f, " ended={ended}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Stats;
    use std::time::Duration;

    fn summary(ended: Ended, replay: bool) -> Summary {
        let stats = Stats::new();
        stats.accepted(7, Some(Duration::from_micros(1_500)));
        let read = replay.then(|| Progress { lines: 9, empty_lines: 2, ..Progress::default() });
        Summary::new(&stats.look(), ended, 0, read)
    }

    #[test]
    fn it_is_one_line() {
        assert_eq!(
            summary(Ended::Complete, false).to_string(),
            "sent=7 acknowledged=7 rejected=0 failed=0 p50_ms=1.50 p99_ms=1.50 retries=0 behind=0 ended=complete"
        );
        let replay = summary(Ended::Unreadable("a\nb".into()), true).to_string();
        assert!(replay.ends_with(" lines=9 empty=2 truncated=0 ended=unreadable"), "{replay}");
    }

    #[test]
    fn all_is_acknowledged_only_when_nothing_is_left() {
        assert!(summary(Ended::Complete, true).all_acknowledged());
        assert!(summary(Ended::Stopped, false).all_acknowledged());
        assert!(!summary(Ended::Stopped, true).all_acknowledged());
        assert!(!summary(Ended::TimeOver, true).all_acknowledged());
        assert!(!summary(Ended::Hopeless(String::new()), false).all_acknowledged());
        let whole = || summary(Ended::Complete, false);
        assert!(whole().all_acknowledged());
        assert!(!Summary { rejected: 1, ..whole() }.all_acknowledged());
        assert!(!Summary { failed: 1, ..whole() }.all_acknowledged());
        assert!(!Summary { behind: 1, ..whole() }.all_acknowledged());
    }
}
