//! Since when a dependency is as it is.

use std::time::SystemTime;

/// What was seen of a dependency. Knows only what it is shown: a change between two looks counts from the second.
#[derive(Debug, Default)]
pub(super) struct Seen(Option<(bool, SystemTime)>);

impl Seen {
    /// Whether it works at `now`; answers since when that is so.
    pub(super) fn see(&mut self, works: bool, now: SystemTime) -> SystemTime {
        match self.0 {
            Some((before, since)) if before == works => since,
            _ => {
                self.0 = Some((works, now));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_time_stays_while_the_state_does() {
        let mut seen = Seen::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (works, now, since) in
            [(false, 1, 1), (false, 2, 1), (true, 3, 3), (true, 9, 3), (false, 10, 10), (true, 11, 11)]
        {
            assert_eq!(seen.see(works, at(now)), at(since), "{works} at {now}");
        }
        assert_eq!(seen.see(true, at(5)), at(11), "a clock that goes back changes nothing");
    }
}
