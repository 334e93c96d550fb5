//! The circuit breaker as a pure state machine; the crate's documentation shows its states.

mod config;
mod state;
mod trial;
mod window;

pub use config::{BreakerConfig, ConfigMistakes, Window};
pub use state::{Counts, Permit, Refused, Snapshot, State, Status, Transitions};
pub use window::Tally;

use std::time::{Duration, Instant};
use trial::{Trial, Verdict};
use window::{Mark, Recent};

/// Refuses calls to a dependency that fails or is slow, until it is back. Pure: takes `now`, and a random number in
/// 0..=1 where it may open, which spreads the breakers of several processes.
///
/// ```
/// use resilience::{Breaker, BreakerConfig, State};
/// use std::time::{Duration, Instant};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Instant::now();
/// let config = BreakerConfig { minimum_calls: 1, ..BreakerConfig::default() };
/// let mut breaker = Breaker::new(config, now)?;
/// let permit = breaker.acquire(now)?;
/// breaker.failed(permit, now, 0.0, "connection refused");
/// let refused = breaker.acquire(now).unwrap_err();
/// assert_eq!((refused.state, refused.retry_after), (State::Open, Duration::from_secs(1)));
/// assert_eq!(breaker.state(now + Duration::from_secs(1)), State::HalfOpen);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    phase: Phase,
    /// Rises with each transition.
    generation: u64,
    recent: Recent,
    /// Times it opened since it was closed.
    openings: u32,
    /// The caller's last random number, for an opening that time alone brings.
    random: f64,
    counts: Counts,
    transitions: Transitions,
    because: String,
    last_failure: String,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    /// From `until` on it is half-open to whoever asks; the transition is made for the first call.
    Open {
        until: Instant,
    },
    HalfOpen(Trial),
    ForcedOpen,
    ForcedClosed,
}

impl Phase {
    fn state(self) -> State {
        match self {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::ForcedClosed => State::ForcedClosed,
        }
    }
}

const REASON_BYTES: usize = 200;

impl Breaker {
    /// A closed breaker, when the settings are right.
    pub fn new(config: BreakerConfig, now: Instant) -> Result<Breaker, ConfigMistakes> {
        config.check()?;
        Ok(Breaker {
            phase: Phase::Closed,
            generation: 0,
            recent: Recent::new(config.window, now),
            openings: 0,
            random: 0.0,
            counts: Counts::default(),
            transitions: Transitions::default(),
            because: "it begins closed".into(),
            last_failure: String::new(),
            config,
        })
    }

    /// Leave for one call, which begins now. Its outcome is to be reported.
    pub fn acquire(&mut self, now: Instant) -> Result<Permit, Refused> {
        self.advance(now);
        if let Some(refused) = self.refusal(now) {
            self.counts.refused += 1;
            return Err(refused);
        }
        if let Phase::Open { .. } = self.phase {
            self.half_open();
        }
        if let Phase::HalfOpen(trial) = &mut self.phase {
            trial.go_out(&self.config, now);
        }
        Ok(Permit::new(self.generation, now))
    }

    /// Why [`Breaker::acquire`] would refuse a call now; `None` when it would not. Counts nothing.
    pub fn refusal(&self, now: Instant) -> Option<Refused> {
        let retry_after = match self.phase_at(now) {
            Phase::Closed | Phase::ForcedClosed => return None,
            Phase::Open { until } => until.saturating_duration_since(now),
            // Trial calls usually end long before their deadline.
            Phase::HalfOpen(trial) if !trial.has_room(&self.config) => trial
                .deadline()
                .map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(now))
                .min(self.config.open_wait),
            Phase::HalfOpen(_) => return None,
            Phase::ForcedOpen => self.config.open_wait_cap,
        };
        Some(Refused { retry_after, state: self.state(now) })
    }

    /// The call has succeeded. It may have been slow, and open the breaker.
    pub fn succeeded(&mut self, permit: Permit, now: Instant, random: f64) {
        let Some(took) = self.redeem(permit, now) else { return };
        self.counts.succeeded += 1;
        self.record(false, took, now, random);
    }

    /// The call has failed, and it is the dependency's fault.
    pub fn failed(&mut self, permit: Permit, now: Instant, random: f64, reason: &str) {
        let Some(took) = self.redeem(permit, now) else { return };
        self.counts.failed += 1;
        self.last_failure.clear();
        self.last_failure.push_str(&reason[..reason.floor_char_boundary(REASON_BYTES)]);
        self.record(true, took, now, random);
    }

    /// The call has ended in a way that says nothing about the dependency, such as a refusal of bad data.
    pub fn ignored(&mut self, permit: Permit, now: Instant) {
        if self.redeem(permit, now).is_some() {
            self.counts.ignored += 1;
            self.give_back();
        }
    }

    /// The caller has given the call up.
    pub fn dropped(&mut self, permit: Permit, now: Instant) {
        if self.redeem(permit, now).is_some() {
            self.counts.dropped += 1;
            self.give_back();
        }
    }

    /// Refuses all calls until [`Breaker::reset`].
    pub fn force_open(&mut self) {
        self.force(Phase::ForcedOpen, "it was forced open");
    }

    /// Lets all calls through until [`Breaker::reset`]. Their outcomes are counted and shown.
    pub fn force_closed(&mut self) {
        self.force(Phase::ForcedClosed, "it was forced closed");
    }

    /// Closes, as if it were new; what it has counted stays.
    pub fn reset(&mut self) {
        self.force(Phase::Closed, "it was reset");
    }

    /// Makes the transition that time alone has brought: a trial whose time is up ends. All other methods do it
    /// themselves; this is for whoever wants to see it when nobody calls.
    pub fn advance(&mut self, now: Instant) {
        if let Phase::HalfOpen(trial) = self.phase
            && let Some((verdict, deadline)) = trial.overdue(&self.config, now)
        {
            self.end_trial(&trial, verdict, deadline);
        }
    }

    /// The state at this moment.
    pub fn state(&self, now: Instant) -> State {
        self.phase_at(now).state()
    }

    /// Rises with each transition.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The state that the last transition brought, and why.
    pub fn status(&self) -> Status {
        Status { generation: self.generation, state: self.phase.state(), because: self.because.clone() }
    }

    /// All there is to see.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        self.advance(now);
        let window = match self.phase_at(now) {
            Phase::HalfOpen(trial) => trial.ended(),
            _ => self.recent.tally(now),
        };
        Snapshot {
            state: self.state(now),
            because: self.because.clone(),
            window,
            counts: self.counts,
            transitions: self.transitions,
            last_failure: self.last_failure.clone(),
        }
    }

    /// What the phase is when the passing of time is taken into account.
    fn phase_at(&self, now: Instant) -> Phase {
        let phase = match self.phase {
            Phase::HalfOpen(trial) => match trial.overdue(&self.config, now) {
                Some((Verdict::Close, _)) => Phase::Closed,
                Some((Verdict::Reopen, deadline)) => self.next_opening(deadline),
                None => self.phase,
            },
            phase => phase,
        };
        match phase {
            Phase::Open { until } if until <= now => Phase::HalfOpen(Trial::default()),
            phase => phase,
        }
    }

    /// How long the call took; `None` when it began before the last transition.
    fn redeem(&mut self, permit: Permit, now: Instant) -> Option<Duration> {
        self.advance(now);
        let (generation, took) = permit.end(now);
        if generation != self.generation {
            self.counts.outdated += 1;
            return None;
        }
        Some(took)
    }

    fn record(&mut self, failed: bool, took: Duration, now: Instant, random: f64) {
        let mark = Mark { failed, slow: took > self.config.slow_after };
        self.counts.slow += u64::from(mark.slow);
        self.random = random;
        match &mut self.phase {
            Phase::Closed => {
                self.recent.record(mark, now);
                let tally = self.recent.tally(now);
                if tally.calls >= u64::from(self.config.minimum_calls) && tally.reaches(&self.config) {
                    self.transitions.opened += 1;
                    let because = self.what_is_bad(tally, "");
                    self.open(now, because);
                }
            }
            Phase::HalfOpen(trial) => {
                trial.end(mark);
                let trial = *trial;
                if let Some(verdict) = trial.verdict(&self.config) {
                    self.end_trial(&trial, verdict, now);
                }
            }
            Phase::ForcedClosed => self.recent.record(mark, now),
            // No call begins in these.
            Phase::Open { .. } | Phase::ForcedOpen => {}
        }
    }

    fn give_back(&mut self) {
        if let Phase::HalfOpen(trial) = &mut self.phase {
            trial.give_back();
        }
    }

    fn end_trial(&mut self, trial: &Trial, verdict: Verdict, at: Instant) {
        let ended = trial.ended();
        match verdict {
            Verdict::Close => {
                self.transitions.closed += 1;
                let good = ended.calls - ended.failed;
                self.close(Phase::Closed, format!("{good} of {} trial calls succeeded", ended.calls));
            }
            Verdict::Reopen => {
                self.transitions.reopened += 1;
                let because = if ended.reaches(&self.config) {
                    self.what_is_bad(ended, "trial ")
                } else {
                    format!("{} trial calls did not end in {:?}", trial.out(), self.config.half_open_time)
                };
                self.open(at, because);
            }
        }
    }

    fn open(&mut self, at: Instant, because: String) {
        self.phase = self.next_opening(at);
        self.openings = self.openings.saturating_add(1);
        self.enter(because);
    }

    fn next_opening(&self, at: Instant) -> Phase {
        Phase::Open { until: at + self.config.wait(self.openings.saturating_add(1), self.random) }
    }

    fn half_open(&mut self) {
        self.phase = Phase::HalfOpen(Trial::default());
        self.transitions.half_opened += 1;
        self.enter(format!("the wait is over, {} calls may try", self.config.half_open_calls));
    }

    fn force(&mut self, phase: Phase, because: &str) {
        self.transitions.forced += 1;
        self.close(phase, because.into());
    }

    /// Begins anew: nothing that was is remembered.
    fn close(&mut self, phase: Phase, because: String) {
        self.phase = phase;
        self.recent.clear();
        self.openings = 0;
        self.enter(because);
    }

    fn enter(&mut self, because: String) {
        self.generation += 1;
        self.because = because;
    }

    fn what_is_bad(&self, tally: Tally, kind: &str) -> String {
        let Tally { calls, failed, slow } = tally;
        if tally.failure_rate() >= self.config.failure_rate {
            format!("{failed} of {calls} {kind}calls failed, the last one with: {}", self.last_failure)
        } else {
            format!("{slow} of {calls} {kind}calls took longer than {:?}", self.config.slow_after)
        }
    }
}
