//! When a breaker opens, how long it stays open, and how it finds out that it may close.

use std::fmt::{self, Display};
use std::time::Duration;

/// Settings of a circuit breaker.
///
/// ```
/// use resilience::{BreakerConfig, Window};
/// use std::time::Duration;
/// let config = BreakerConfig { window: Window::Time(Duration::from_secs(30)), ..BreakerConfig::default() };
/// assert_eq!(config.check(), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerConfig {
    /// Which calls the two rates are about. The last 100 by default.
    pub window: Window,
    /// The breaker opens when this share of the calls in the window failed: above 0, at most 1. 0.5 by default.
    pub failure_rate: f64,
    /// A call that takes longer is slow, whatever its outcome; none is with `Duration::MAX`. 10 s by default.
    pub slow_after: Duration,
    /// The breaker opens when this share of the calls in the window was slow: above 0, at most 1. 1 by default.
    pub slow_rate: f64,
    /// With fewer calls in the window the rates say nothing. 10 by default.
    pub minimum_calls: u32,
    /// How long the breaker is open the first time. 1 s by default.
    pub open_wait: Duration,
    /// Each further wait is so many times as long, until the breaker closes: 1 to 100. 2 by default.
    pub open_wait_factor: f64,
    /// No wait is longer. 60 s by default.
    pub open_wait_cap: Duration,
    /// The random share of a wait, 0 to 1: with 0.2, a wait of 10 s is one of 8 to 10 s. 0.2 by default.
    pub open_wait_jitter: f64,
    /// How many calls try, half-open, whether the dependency is back. 3 by default.
    pub half_open_calls: u32,
    /// How long after its first call a trial ends with the results it has. 30 s by default.
    pub half_open_time: Duration,
}

/// Which calls a rate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls, 1 to 100 000, however long ago. Two bytes of memory for each.
    Count(u32),
    /// The calls that ended within this time, 1 ms to a day. Counted in twentieths of it: a call is forgotten after 95
    /// to 100 % of the time, and memory does not depend on the number of calls.
    Time(Duration),
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig {
            window: Window::Count(100),
            failure_rate: 0.5,
            slow_after: Duration::from_secs(10),
            slow_rate: 1.0,
            minimum_calls: 10,
            open_wait: Duration::from_secs(1),
            open_wait_factor: 2.0,
            open_wait_cap: Duration::from_secs(60),
            open_wait_jitter: 0.2,
            half_open_calls: 3,
            half_open_time: Duration::from_secs(30),
        }
    }
}

/// No time of a breaker is longer, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// No time of a breaker is shorter.
const SHORTEST: Duration = Duration::from_millis(1);
const MOST_CALLS: u32 = 100_000;

/// Everything that is wrong with the settings of a breaker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigMistakes(Vec<String>);

impl Display for ConfigMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings of a circuit breaker: {}", self.0.join("; "))
    }
}

impl BreakerConfig {
    /// Says everything that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), ConfigMistakes> {
        let mut mistakes = Mistakes::default();
        self.check_window(&mut mistakes);
        mistakes.share("failure_rate", self.failure_rate);
        mistakes.share("slow_rate", self.slow_rate);
        mistakes.time("open_wait", self.open_wait);
        mistakes.time("open_wait_cap", self.open_wait_cap);
        mistakes.time("half_open_time", self.half_open_time);
        mistakes.number("minimum_calls", self.minimum_calls);
        mistakes.number("half_open_calls", self.half_open_calls);
        if self.open_wait_cap < self.open_wait {
            let (wait, cap) = (self.open_wait, self.open_wait_cap);
            mistakes.add(format!("open_wait_cap is {cap:?}, it has to be at least open_wait, {wait:?}"));
        }
        if !(1.0..=100.0).contains(&self.open_wait_factor) {
            mistakes.add(format!("open_wait_factor is {}, it has to be 1 to 100", self.open_wait_factor));
        }
        if !(0.0..=1.0).contains(&self.open_wait_jitter) {
            mistakes.add(format!("open_wait_jitter is {}, it has to be 0 to 1", self.open_wait_jitter));
        }
        if self.slow_after.is_zero() {
            mistakes.add("slow_after is 0, so that every call is slow; Duration::MAX turns it off".into());
        }
        if mistakes.0.is_empty() { Ok(()) } else { Err(ConfigMistakes(mistakes.0)) }
    }

    fn check_window(&self, mistakes: &mut Mistakes) {
        match self.window {
            Window::Time(time) => mistakes.time("window", time),
            Window::Count(calls) => {
                mistakes.number("window", calls);
                if self.minimum_calls > calls {
                    let minimum = self.minimum_calls;
                    mistakes.add(format!(
                        "minimum_calls is {minimum}, it has to be at most the {calls} calls of the window, \
                         or the breaker never opens"
                    ));
                }
            }
        }
    }

    /// How long the n-th opening since the breaker was closed lasts. `random` is 0..=1.
    pub(super) fn wait(&self, opening: u32, random: f64) -> Duration {
        let exponent = i32::try_from(opening.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.open_wait.as_secs_f64() * self.open_wait_factor.powi(exponent);
        let longest = grown.min(self.open_wait_cap.as_secs_f64());
        let wait = Duration::from_secs_f64(longest * (1.0 - self.open_wait_jitter * random.clamp(0.0, 1.0)));
        // A lucky draw is no busy loop.
        wait.clamp(SHORTEST, self.open_wait_cap)
    }
}

#[derive(Default)]
struct Mistakes(Vec<String>);

impl Mistakes {
    fn add(&mut self, mistake: String) {
        self.0.push(mistake);
    }

    fn share(&mut self, name: &str, share: f64) {
        if !(share > 0.0 && share <= 1.0) {
            self.add(format!("{name} is {share}, it has to be above 0 and at most 1"));
        }
    }

    fn time(&mut self, name: &str, time: Duration) {
        if !(SHORTEST..=LONGEST).contains(&time) {
            self.add(format!("{name} is {time:?}, it has to be {SHORTEST:?} to a day"));
        }
    }

    fn number(&mut self, name: &str, number: u32) {
        if !(1..=MOST_CALLS).contains(&number) {
            self.add(format!("{name} is {number}, it has to be 1 to {MOST_CALLS}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: BreakerConfig = BreakerConfig {
        window: Window::Count(100),
        failure_rate: 0.5,
        slow_after: Duration::from_secs(10),
        slow_rate: 1.0,
        minimum_calls: 10,
        open_wait: Duration::from_millis(100),
        open_wait_factor: 2.0,
        open_wait_cap: Duration::from_secs(1),
        open_wait_jitter: 0.5,
        half_open_calls: 3,
        half_open_time: Duration::from_secs(30),
    };

    #[test]
    fn the_defaults_are_right() {
        assert_eq!(BreakerConfig::default().check(), Ok(()));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let config = BreakerConfig {
            window: Window::Count(0),
            failure_rate: 0.0,
            slow_after: Duration::ZERO,
            slow_rate: f64::NAN,
            minimum_calls: 0,
            open_wait: Duration::ZERO,
            open_wait_factor: 0.5,
            open_wait_cap: Duration::MAX,
            open_wait_jitter: 1.1,
            half_open_calls: 0,
            half_open_time: Duration::ZERO,
        };
        let told = config.check().unwrap_err().to_string();
        for name in [
            "window",
            "failure_rate",
            "slow_after",
            "slow_rate",
            "minimum_calls",
            "open_wait is",
            "open_wait_factor",
            "open_wait_cap",
            "open_wait_jitter",
            "half_open_calls",
            "half_open_time",
        ] {
            assert!(told.contains(name), "{name} is not in: {told}");
        }
    }

    #[test]
    fn a_minimum_that_the_window_cannot_hold_is_a_mistake() {
        let config = BreakerConfig { window: Window::Count(9), ..BASE };
        assert!(config.check().unwrap_err().to_string().contains("at most the 9 calls of the window"));
    }

    #[test]
    fn a_cap_below_the_first_wait_is_a_mistake() {
        let config = BreakerConfig { open_wait_cap: Duration::from_millis(99), ..BASE };
        assert!(config.check().unwrap_err().to_string().contains("at least open_wait, 100ms"));
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_the_cap() {
        let waits: Vec<_> = (1..=6).map(|opening| BASE.wait(opening, 0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(BASE.wait(u32::MAX, 0.0), Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn jitter_only_shortens_a_wait_and_only_by_its_share(opening in 1..40_u32, random in 0.0..=1.0_f64) {
            let (full, wait) = (BASE.wait(opening, 0.0), BASE.wait(opening, random));
            prop_assert!(wait <= full && wait >= full.mul_f64(0.5));
        }
    }
}
