//! What a person sees while events are sent.

use crate::{
    deliver::Post,
    stats::{Counts, millis},
};
use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often a line is shown on a terminal, and elsewhere.
const ON_TERMINAL: Duration = Duration::from_secs(1);
const IN_FILE: Duration = Duration::from_secs(10);
/// Moves to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";
/// Lateness that is worth telling.
const LATE: Duration = Duration::from_secs(1);

/// Shows progress on standard error until it is dropped.
pub(crate) async fn show(post: &Post, total_bytes: Option<u64>) {
    let terminal = stderr().is_terminal();
    let every = if terminal { ON_TERMINAL } else { IN_FILE };
    let begin = Instant::now();
    let mut ticks = interval_at(begin + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let _cleared = Cleared(terminal);
    let (mut last, mut acknowledged, mut trouble) = (begin, 0, None);
    loop {
        let now = ticks.tick().await;
        let counts = post.stats.look();
        let interval = now - last;
        let rate = (counts.acknowledged - acknowledged) as u128 * 1_000 / interval.as_millis().max(1);
        if counts.trouble.is_some() && counts.trouble != trouble {
            let text = counts.trouble.as_deref().unwrap_or_default();
            say(terminal, &format!("trying again: {text}"), true);
        }
        say(terminal, &line(&counts, now - begin, rate, total_bytes), !terminal);
        (last, acknowledged, trouble) = (now, counts.acknowledged, counts.trouble.or(trouble));
    }
}

/// A write error is nobody's concern: whoever read the progress has gone.
fn say(terminal: bool, text: &str, end: bool) {
    let (clear, end) = (if terminal { CLEAR } else { "" }, if end { "\n" } else { "" });
    let _ = write!(stderr(), "{clear}{text}{end}");
}

/// Clears the line that is rewritten, when the run has ended.
struct Cleared(bool);

impl Drop for Cleared {
    fn drop(&mut self) {
        if self.0 {
            let _ = write!(stderr(), "{CLEAR}");
        }
    }
}

fn line(counts: &Counts, elapsed: Duration, rate: u128, total_bytes: Option<u64>) -> String {
    let (p50, p99) = (millis(&counts.recent, 0.5), millis(&counts.recent, 0.99));
    let mut line = format!(
        "{}  {rate} events/s  acknowledged {}  p50 {p50} p99 {p99} ms",
        clock(elapsed),
        counts.acknowledged
    );
    let lost = counts.rejected + counts.failed;
    for (name, count) in [("lost", lost), ("retries", counts.retries)] {
        if count > 0 {
            line.push_str(&format!("  {name} {count}"));
        }
    }
    if counts.late >= LATE {
        line.push_str(&format!("  {} s late", counts.late.as_secs()));
    }
    if let (Some(read), Some(total)) = (counts.read, total_bytes.filter(|total| *total > 0)) {
        line.push_str(&format!("  {}%", u128::from(read.bytes.min(total)) * 100 / u128::from(total)));
        if read.bytes > 0 {
            let left = elapsed.mul_f64(total.saturating_sub(read.bytes) as f64 / read.bytes as f64);
            line.push_str(&format!(", {} left", clock(left)));
        }
    }
    line
}

/// `1:02:03`, or `02:03` within the first hour.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replay::Progress,
        stats::{Stats, Trouble},
    };

    #[test]
    fn a_line_tells_what_there_is_to_tell() {
        let stats = Stats::new();
        stats.accepted(500, Some(Duration::from_millis(2)));
        let calm = line(&stats.look(), Duration::from_secs(61), 250, None);
        assert_eq!(calm, "01:01  250 events/s  acknowledged 500  p50 2.00 p99 2.00 ms");
        stats.retrying("full");
        stats.lost(Trouble::Rejected, "no", 2);
        let mut counts = stats.look();
        counts.late = Duration::from_secs(3);
        counts.read = Some(Progress { bytes: 250, ..Progress::default() });
        let busy = line(&counts, Duration::from_secs(3_600), 0, Some(1_000));
        assert!(busy.starts_with("1:00:00  0 events/s"), "{busy}");
        assert!(
            busy.ends_with("p50 0.00 p99 0.00 ms  lost 2  retries 1  3 s late  25%, 3:00:00 left"),
            "{busy}"
        );
    }
}
