//! A breaker that remembers every call and is plain rather than fast. Milliseconds since the test began.

use resilience::{BreakerConfig, Counts, State, Tally, Transitions, Window};
use std::time::Duration;

/// Settings in whole numbers, from which those of the breaker are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) window: ModelWindow,
    pub(crate) failure_percent: u64,
    pub(crate) slow_percent: u64,
    pub(crate) slow_after: u64,
    pub(crate) minimum_calls: u64,
    pub(crate) open_wait: u64,
    pub(crate) open_wait_factor: u32,
    pub(crate) open_wait_cap: u64,
    pub(crate) half_open_calls: u64,
    pub(crate) half_open_time: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ModelWindow {
    Count(u32),
    /// Twenty times this.
    TwentyTimes(u64),
}

impl Settings {
    pub(crate) fn config(&self) -> BreakerConfig {
        BreakerConfig {
            window: match self.window {
                ModelWindow::Count(calls) => Window::Count(calls),
                ModelWindow::TwentyTimes(part) => Window::Time(Duration::from_millis(20 * part)),
            },
            failure_rate: self.failure_percent as f64 / 100.0,
            slow_after: Duration::from_millis(self.slow_after),
            slow_rate: self.slow_percent as f64 / 100.0,
            minimum_calls: u32::try_from(self.minimum_calls).unwrap(),
            open_wait: Duration::from_millis(self.open_wait),
            open_wait_factor: f64::from(self.open_wait_factor),
            open_wait_cap: Duration::from_millis(self.open_wait_cap),
            open_wait_jitter: 0.0,
            half_open_calls: u32::try_from(self.half_open_calls).unwrap(),
            half_open_time: Duration::from_millis(self.half_open_time),
        }
    }

    fn bad(&self, tally: Tally) -> bool {
        let Tally { calls, failed, slow } = tally;
        calls > 0 && (failed * 100 >= self.failure_percent * calls || slow * 100 >= self.slow_percent * calls)
    }

    fn wait(&self, opening: u32) -> u64 {
        let factor = u64::from(self.open_wait_factor).saturating_pow(opening - 1);
        self.open_wait.saturating_mul(factor).min(self.open_wait_cap)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    at: u64,
    failed: bool,
    slow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    Closed,
    Open { until: u64 },
    HalfOpen,
    ForcedOpen,
    ForcedClosed,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelPermit {
    number: usize,
    since: u64,
}

#[derive(Debug)]
pub(crate) struct Model {
    settings: Settings,
    now: u64,
    is: Is,
    permits: usize,
    /// Calls that began since the last transition and are still out.
    out: Vec<ModelPermit>,
    /// All calls since the window was emptied.
    window: Vec<Ended>,
    /// All calls since the trial began.
    trial: Vec<Ended>,
    /// When the trial's first call began.
    tried: Option<u64>,
    openings: u32,
    pub(crate) counts: Counts,
    pub(crate) transitions: Transitions,
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Model {
        Model {
            settings,
            now: 0,
            is: Is::Closed,
            permits: 0,
            out: Vec::new(),
            window: Vec::new(),
            trial: Vec::new(),
            tried: None,
            openings: 0,
            counts: Counts::default(),
            transitions: Transitions::default(),
        }
    }

    pub(crate) fn pass(&mut self, time: u64) {
        self.now += time;
        let up = self.tried.map(|tried| tried + self.settings.half_open_time);
        if let Some(up) = up.filter(|up| *up <= self.now) {
            let still_out = self.out.iter().map(|_| Ended { at: up, failed: true, slow: true });
            let all: Vec<_> = self.trial.iter().copied().chain(still_out).collect();
            self.end_trial(self.settings.bad(tally(&all)), up);
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.is {
            Is::Closed => State::Closed,
            Is::Open { until } if self.now < until => State::Open,
            Is::Open { .. } | Is::HalfOpen => State::HalfOpen,
            Is::ForcedOpen => State::ForcedOpen,
            Is::ForcedClosed => State::ForcedClosed,
        }
    }

    pub(crate) fn acquire(&mut self) -> Result<ModelPermit, (u64, State)> {
        if self.state() == State::HalfOpen && self.is != Is::HalfOpen {
            self.transitions.half_opened += 1;
            self.enter(Is::HalfOpen);
        }
        let room = self.settings.half_open_calls > (self.trial.len() + self.out.len()) as u64;
        let retry_after = match self.is {
            Is::Open { until } => Some(until - self.now),
            Is::ForcedOpen => Some(self.settings.open_wait_cap),
            Is::HalfOpen if !room => {
                let up = self.tried.unwrap() + self.settings.half_open_time;
                Some((up - self.now).min(self.settings.open_wait))
            }
            Is::HalfOpen | Is::Closed | Is::ForcedClosed => None,
        };
        if let Some(retry_after) = retry_after {
            self.counts.refused += 1;
            return Err((retry_after, self.state()));
        }
        if self.is == Is::HalfOpen {
            self.tried.get_or_insert(self.now);
        }
        self.permits += 1;
        let permit = ModelPermit { number: self.permits, since: self.now };
        self.out.push(permit);
        Ok(permit)
    }

    pub(crate) fn end(&mut self, permit: ModelPermit, failed: bool) {
        if !self.take(permit) {
            return;
        }
        let slow = self.now - permit.since > self.settings.slow_after;
        self.counts.failed += u64::from(failed);
        self.counts.succeeded += u64::from(!failed);
        self.counts.slow += u64::from(slow);
        let ended = Ended { at: self.now, failed, slow };
        if self.is == Is::HalfOpen {
            self.trial.push(ended);
            let verdicts = self.possible_verdicts();
            if let [bad] = verdicts[..] {
                self.end_trial(bad, self.now);
            }
            return;
        }
        self.window.push(ended);
        let tally = self.tally();
        let enough = tally.calls >= self.settings.minimum_calls;
        if self.is == Is::Closed && enough && self.settings.bad(tally) {
            self.transitions.opened += 1;
            self.open(self.now);
        }
    }

    pub(crate) fn ignore(&mut self, permit: ModelPermit) {
        let counts = self.take(permit);
        self.counts.ignored += u64::from(counts);
        self.forget_an_empty_trial();
    }

    pub(crate) fn drop_call(&mut self, permit: ModelPermit) {
        let counts = self.take(permit);
        self.counts.dropped += u64::from(counts);
        self.forget_an_empty_trial();
    }

    fn forget_an_empty_trial(&mut self) {
        if self.out.is_empty() && self.trial.is_empty() {
            self.tried = None;
        }
    }

    pub(crate) fn force(&mut self, state: State) {
        self.transitions.forced += 1;
        self.close(match state {
            State::ForcedOpen => Is::ForcedOpen,
            State::ForcedClosed => Is::ForcedClosed,
            _ => Is::Closed,
        });
    }

    /// What the breaker should show.
    pub(crate) fn tally(&self) -> Tally {
        if self.state() == State::HalfOpen {
            return tally(&self.trial);
        }
        match self.settings.window {
            ModelWindow::Count(calls) => {
                let forgotten = self.window.len().saturating_sub(calls as usize);
                tally(&self.window[forgotten..])
            }
            ModelWindow::TwentyTimes(part) => {
                let counts = |call: &&Ended| self.now / part - call.at / part < 20;
                tally(&self.window.iter().filter(counts).copied().collect::<Vec<_>>())
            }
        }
    }

    /// Whether the trial can still end badly, or well, whatever the other calls will show.
    fn possible_verdicts(&self) -> Vec<bool> {
        let ended = tally(&self.trial);
        let rest = self.settings.half_open_calls - ended.calls;
        let mut verdicts = Vec::new();
        for failed in 0..=rest {
            for slow in 0..=rest {
                verdicts.push(self.settings.bad(Tally {
                    calls: self.settings.half_open_calls,
                    failed: ended.failed + failed,
                    slow: ended.slow + slow,
                }));
            }
        }
        verdicts.sort_unstable();
        verdicts.dedup();
        verdicts
    }

    /// Whether the call is out and of this time.
    fn take(&mut self, permit: ModelPermit) -> bool {
        let before = self.out.len();
        self.out.retain(|out| out.number != permit.number);
        let counts = self.out.len() < before;
        self.counts.outdated += u64::from(!counts);
        counts
    }

    fn end_trial(&mut self, bad: bool, at: u64) {
        if bad {
            self.transitions.reopened += 1;
            self.open(at);
        } else {
            self.transitions.closed += 1;
            self.close(Is::Closed);
        }
    }

    fn open(&mut self, at: u64) {
        self.openings += 1;
        self.enter(Is::Open { until: at + self.settings.wait(self.openings) });
    }

    fn close(&mut self, is: Is) {
        self.window.clear();
        self.openings = 0;
        self.enter(is);
    }

    fn enter(&mut self, is: Is) {
        self.is = is;
        self.out.clear();
        self.trial.clear();
        self.tried = None;
    }
}

fn tally(calls: &[Ended]) -> Tally {
    Tally {
        calls: calls.len() as u64,
        failed: calls.iter().filter(|call| call.failed).count() as u64,
        slow: calls.iter().filter(|call| call.slow).count() as u64,
    }
}
