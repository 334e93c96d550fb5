//! When events are due: an open-loop schedule. Pure: all times are durations since the run began.

use std::time::Duration;

/// Bursts: every `period` begins with half of its events at `factor` times the mean rate; the other half is spread
/// over the rest of it. The mean rate stays what was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Burst {
    /// At least 1.
    pub(crate) factor: f64,
    pub(crate) period: Duration,
}

impl Burst {
    /// How long the burst at the start of each period lasts, in seconds.
    fn length(self) -> f64 {
        self.period.as_secs_f64() / (2.0 * self.factor)
    }

    /// The time at which a steady schedule would have as many events due as this one has at `real` seconds.
    fn steady(self, real: f64) -> f64 {
        let (period, burst) = (self.period.as_secs_f64(), self.length());
        let whole = (real / period).floor() * period;
        let within = real - whole;
        whole
            + if within < burst {
                within * self.factor
            } else {
                (period + (within - burst) * period / (period - burst)) / 2.0
            }
    }

    /// The inverse of [`Burst::steady`].
    fn real(self, steady: f64) -> f64 {
        let (period, burst) = (self.period.as_secs_f64(), self.length());
        let whole = (steady / period).floor() * period;
        let within = steady - whole;
        whole
            + if within < period / 2.0 {
                within / self.factor
            } else {
                burst + (within - period / 2.0) * 2.0 * (period - burst) / period
            }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send a batch of up to so many events, then call [`Pace::issue`].
    Send(usize),
    /// Nothing is due before this time.
    Wait(Duration),
    /// The schedule has ended.
    Done,
}

/// An open-loop schedule: event `i` is due at `i / rate`, whether or not earlier ones have been answered.
///
/// A batch is due when it is full or when its first event has waited `linger`. Latency counts from that time, so a
/// server that stalls is charged for the requests that had to wait for their turn too: no coordinated omission.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    burst: Option<Burst>,
    linger: Duration,
    /// Events in the whole schedule, and when it ends.
    end: Option<(u64, Duration)>,
    issued: u64,
    /// How far the schedule was moved because its input came late.
    shift: Duration,
}

/// After its end a schedule may still send what was due for as long as this.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

impl Pace {
    /// `rate` in events a second, above 0; without `run_for` the schedule has no end.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates; both are positive"
    )]
    pub(crate) fn new(rate: f64, burst: Option<Burst>, linger: Duration, run_for: Option<Duration>) -> Pace {
        let end =
            run_for.map(|run_for| ((rate * run_for.as_secs_f64() - 1e-6).ceil().max(0.0) as u64, run_for));
        Pace { rate, burst, linger, end, issued: 0, shift: Duration::ZERO }
    }

    /// What to do at `now` when `available` events could go in the next batch.
    pub(crate) fn step(&self, now: Duration, available: usize) -> Step {
        let left = self.end.map_or(u64::MAX, |(events, _)| events - self.issued.min(events));
        let late = self.end.is_some_and(|(_, end)| now > end + self.shift + self.linger + GRACE);
        if left == 0 || late {
            return Step::Done;
        }
        let want = available.max(1).min(usize::try_from(left).unwrap_or(usize::MAX));
        let closes = self.closes(want);
        if now < closes {
            return Step::Wait(closes);
        }
        let due = self.due_by(now).saturating_sub(self.issued).max(1);
        Step::Send(want.min(usize::try_from(due).unwrap_or(usize::MAX)))
    }

    /// Notes that the next `events` events were sent, and says when that batch was due.
    pub(crate) fn issue(&mut self, events: usize) -> Duration {
        let due = self.closes(events);
        self.issued += events as u64;
        due
    }

    /// Moves the schedule by the time that its input kept it waiting: asked for at `asked`, there at `came`. Only what
    /// passed after the next event was due counts.
    pub(crate) fn input_came(&mut self, asked: Duration, came: Duration) {
        self.shift += came.saturating_sub(asked.max(self.time_of(self.issued)));
    }

    /// Events that are due at `now` and were not sent.
    pub(crate) fn behind(&self, now: Duration) -> u64 {
        let due = self.due_by(now);
        self.end.map_or(due, |(events, _)| due.min(events)).saturating_sub(self.issued)
    }

    /// When a batch of the next `events` is due: full, or its first event waited `linger`.
    fn closes(&self, events: usize) -> Duration {
        let last = self.issued.saturating_add(events.saturating_sub(1) as u64);
        self.time_of(last).min(self.time_of(self.issued) + self.linger)
    }

    #[allow(clippy::cast_precision_loss, reason = "2^53 events are years at any rate")]
    fn time_of(&self, event: u64) -> Duration {
        let steady = event as f64 / self.rate;
        let real = self.burst.map_or(steady, |burst| burst.real(steady));
        Duration::try_from_secs_f64(real).unwrap_or(Duration::MAX / 4) + self.shift
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates; never negative"
    )]
    fn due_by(&self, now: Duration) -> u64 {
        let Some(real) = now.checked_sub(self.shift) else { return 0 };
        let steady = self.burst.map_or(real.as_secs_f64(), |burst| burst.steady(real.as_secs_f64()));
        // A nanosecond of rounding must not hide the event that is due right now.
        ((steady + 1e-9) * self.rate).floor() as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_batch_is_due_when_full_or_after_the_linger() {
        let mut fast = Pace::new(10_000.0, None, 50 * MS, None);
        assert_eq!(fast.step(Duration::ZERO, 101), Step::Wait(10 * MS));
        assert_eq!(fast.step(10 * MS, 101), Step::Send(101));
        assert_eq!(fast.issue(101), 10 * MS);
        let mut slow = Pace::new(100.0, None, 50 * MS, None);
        assert_eq!(slow.step(Duration::ZERO, 500), Step::Wait(50 * MS));
        assert_eq!(slow.step(50 * MS, 500), Step::Send(6));
        assert_eq!(slow.issue(6), 50 * MS);
        assert_eq!(slow.step(50 * MS, 500), Step::Wait(110 * MS));
    }

    #[test]
    fn a_stall_is_caught_up_and_charged_from_the_time_each_batch_was_due() {
        let mut pace = Pace::new(1_000.0, None, 10 * MS, Some(1_000 * MS));
        let stalled = 500 * MS;
        assert_eq!(pace.behind(stalled), 501);
        assert_eq!(pace.step(stalled, 100), Step::Send(100));
        assert_eq!(pace.issue(100), 10 * MS);
        assert_eq!(pace.step(stalled, 100), Step::Send(100));
        assert_eq!(pace.issue(100), 110 * MS);
    }

    #[test]
    fn what_is_still_unsent_after_the_end_stays_unsent() {
        let pace = Pace::new(1_000.0, None, 10 * MS, Some(1_000 * MS));
        assert_eq!(pace.step(1_900 * MS, 100), Step::Send(100));
        assert_eq!(pace.step(5_000 * MS, 100), Step::Done);
        assert_eq!(pace.behind(5_000 * MS), 1_000);
    }

    #[test]
    fn late_input_moves_the_schedule_instead_of_making_a_debt() {
        let mut pace = Pace::new(100.0, None, Duration::ZERO, None);
        pace.issue(1);
        pace.input_came(5 * MS, 5_000 * MS);
        assert_eq!(pace.step(5_000 * MS, 50), Step::Send(1));
        assert_eq!(pace.issue(1), 5_000 * MS);
        assert_eq!(pace.step(5_000 * MS, 50), Step::Wait(5_010 * MS));
        // A server that was slow is a debt: asked late, but the input was there at once.
        pace.input_came(6_000 * MS, 6_000 * MS);
        assert_eq!(pace.step(6_000 * MS, 50), Step::Send(50));
    }

    #[test]
    fn a_burst_sends_half_of_the_period_s_events_in_its_first_part() {
        let burst = Burst { factor: 5.0, period: Duration::from_secs(10) };
        let pace = Pace::new(1_000.0, Some(burst), Duration::ZERO, None);
        for (at, due) in [(500, 2_501), (1_000, 5_001), (5_500, 7_501), (10_000, 10_001), (10_500, 12_501)] {
            assert_eq!(pace.behind(at * MS), due, "at {at} ms");
        }
    }

    proptest! {
        #[test]
        fn a_run_sends_exactly_rate_times_duration_and_nothing_early(
            rate in 1..5_000_u32,
            seconds in 1..20_u64,
            linger in 0..200_u32,
            factor in proptest::option::of(1.0..20.0_f64),
            delays in proptest::collection::vec(0..300_u32, 1..20),
        ) {
            let burst = factor.map(|factor| Burst { factor, period: Duration::from_secs(3) });
            let mut pace = Pace::new(f64::from(rate), burst, linger * MS, Some(Duration::from_secs(seconds)));
            let (mut now, mut sent, mut turns) = (Duration::ZERO, 0_u64, delays.iter().cycle());
            loop {
                match pace.step(now, 500) {
                    Step::Done => break,
                    Step::Wait(until) => { prop_assert!(until > now); now = until; }
                    Step::Send(events) => {
                        prop_assert!((1..=500).contains(&events));
                        prop_assert!(pace.time_of(sent + events as u64 - 1) <= now + Duration::from_nanos(2));
                        prop_assert!(pace.issue(events) <= now);
                        sent += events as u64;
                        now += *turns.next().unwrap() * MS / 10;
                    }
                }
            }
            prop_assert_eq!(sent, u64::from(rate) * seconds - pace.behind(now));
        }

        #[test]
        fn bursts_read_back(at in 0.0..1_000.0_f64, factor in 1.0..50.0_f64, period in 1..60_u64) {
            let burst = Burst { factor, period: Duration::from_secs(period) };
            prop_assert!((burst.steady(burst.real(at)) - at).abs() < 1e-6);
        }
    }
}
