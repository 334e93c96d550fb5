//! Which days have a partition, and which should. Pure.

use super::config::Config;
use record::Timestamp;
use std::collections::BTreeSet;

/// Nanoseconds.
const DAY: i64 = 86_400_000_000_000;

/// A day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

/// What is to be done so that the partitions are as they should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Days that need a partition, the one of today first: it is the most urgent.
    pub(super) make: Vec<Day>,
    /// Days whose partition has all its events behind the retention, oldest first.
    pub(super) drop: Vec<Day>,
    /// Events of `logs_other` that were stored before this day are behind the retention.
    pub(super) keep_from: Day,
}

impl Day {
    /// The day of a time.
    pub(super) fn of(time: Timestamp) -> Day {
        Day(time.as_nanos() / DAY)
    }

    /// The day so many days before, if there is one.
    pub(super) fn before(self, days: i64) -> Day {
        Day((self.0 - days).max(0))
    }

    /// First nanosecond, and the first of the next day.
    pub(super) fn bounds(self) -> (i64, i64) {
        (self.0 * DAY, (self.0 + 1).saturating_mul(DAY))
    }

    /// Name of its partition: `logs_20260131`.
    pub(super) fn partition(self) -> String {
        format!("logs_{}", self.date().replace('-', ""))
    }

    /// `2026-01-31`.
    pub(super) fn date(self) -> String {
        let start = Timestamp::from_nanos(self.0.saturating_mul(DAY)).unwrap_or(Timestamp::MAX).to_string();
        start.split('T').next().unwrap_or_default().to_owned()
    }

    /// The day whose partition has this name, if it is one of ours.
    fn of_partition(name: &str) -> Option<Day> {
        let digits = name.strip_prefix("logs_").filter(|digits| digits.len() == 8 && digits.is_ascii())?;
        let (year, month, day) = (&digits[..4], &digits[4..6], &digits[6..]);
        let time: Timestamp = format!("{year}-{month}-{day}T00:00:00Z").parse().ok()?;
        Some(Day::of(time))
    }
}

/// Compares the partitions that are there with those that should be. Partitions with other names are left alone.
pub(super) fn plan(existing: &[String], now: Timestamp, config: &Config) -> Plan {
    let Day(today) = Day::of(now);
    let Day(last) = Day::of(Timestamp::MAX);
    let there: BTreeSet<Day> = existing.iter().filter_map(|name| Day::of_partition(name)).collect();
    let keep_from = (today - i64::from(config.retention_days)).max(0);
    let first = (today - i64::from(config.days_back)).max(keep_from);
    let mut make: Vec<Day> = (first..=(today + i64::from(config.days_ahead)).min(last))
        .map(Day)
        .filter(|day| !there.contains(day))
        .collect();
    make.sort_by_key(|Day(day)| (*day < today, (*day - today).abs()));
    let drop = there.into_iter().filter(|Day(day)| *day < keep_from).collect();
    Plan { make, drop, keep_from: Day(keep_from) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(retention_days: u16, days_back: u16, days_ahead: u16) -> Config {
        Config { retention_days, days_back, days_ahead, ..Config::new("") }
    }

    #[test]
    fn today_comes_first_then_the_days_ahead_then_those_back() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let names = |days: Vec<Day>| days.into_iter().map(Day::partition).collect::<Vec<_>>();
        let plan = plan(&["logs_20260302".into(), "logs_20260101".into()], now, &config(30, 2, 2));
        assert_eq!(names(plan.make), ["logs_20260301", "logs_20260303", "logs_20260228", "logs_20260227"]);
        assert_eq!(names(plan.drop), ["logs_20260101"]);
        assert_eq!(plan.keep_from.date(), "2026-01-30");
    }

    #[test]
    fn what_has_another_name_is_left_alone() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        for name in
            ["logs_other", "logs_2025", "logs_20251301", "logs_2025010é", "backup_20250101", "logs_00000000"]
        {
            assert_eq!(plan(&[name.into()], now, &config(1, 1, 1)).drop, [], "{name}");
        }
    }

    proptest! {
        /// Whatever time it is, also at both ends of what an event can have: what was planned is enough, and is never
        /// made only to be dropped.
        #[test]
        fn a_plan_that_was_carried_out_leaves_nothing_to_do(
            nanos in prop_oneof![0..=Timestamp::MAX.as_nanos(), 0..DAY * 3, Timestamp::MAX.as_nanos() - DAY..=Timestamp::MAX.as_nanos()],
            retention in 0..400_u16, back in 0..400_u16, ahead in 0..10_u16,
        ) {
            let (now, config) = (Timestamp::from_nanos(nanos).unwrap(), config(retention, back, ahead));
            let made: Vec<String> = plan(&[], now, &config).make.into_iter().map(Day::partition).collect();
            prop_assert!(made.contains(&Day::of(now).partition()));
            let again = plan(&made, now, &config);
            prop_assert_eq!((again.make, again.drop), (vec![], vec![]));
        }

        #[test]
        fn a_days_name_reads_back_and_its_bounds_hold_its_times(nanos in 0..=Timestamp::MAX.as_nanos()) {
            let day = Day::of(Timestamp::from_nanos(nanos).unwrap());
            prop_assert_eq!(Day::of_partition(&day.partition()), Some(day));
            let (from, to) = day.bounds();
            prop_assert!(from <= nanos && nanos < to);
        }
    }
}
