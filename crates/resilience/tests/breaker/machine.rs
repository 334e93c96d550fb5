//! Random calls: the breaker does what the model does, and what must always hold holds.

use crate::model::{Model, ModelPermit, ModelWindow, Settings};
use crate::support::{Bench, config, seconds};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use resilience::{Breaker, BreakerConfig, Permit, Snapshot, State, Transitions, Window};
use std::cell::Cell;
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Acquire,
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Ignore(prop::sample::Index),
    Drop(prop::sample::Index),
    Force(State),
}

fn step() -> impl Strategy<Value = Step> {
    let forced = prop_oneof![Just(State::ForcedOpen), Just(State::ForcedClosed), Just(State::Closed)];
    prop_oneof![
        20 => prop_oneof![0..20_u64, 20..200_u64, 200..2000_u64].prop_map(Step::Pass),
        60 => Just(Step::Acquire),
        20 => any::<prop::sample::Index>().prop_map(Step::Succeed),
        20 => any::<prop::sample::Index>().prop_map(Step::Fail),
        4 => any::<prop::sample::Index>().prop_map(Step::Ignore),
        4 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => forced.prop_map(Step::Force),
    ]
}

fn window() -> impl Strategy<Value = ModelWindow> {
    prop_oneof![(1..=12_u32).prop_map(ModelWindow::Count), (1..=50_u64).prop_map(ModelWindow::TwentyTimes),]
}

prop_compose! {
    fn settings()(
        window in window(),
        (failure_percent, slow_percent) in (1..=100_u64, 1..=100_u64),
        slow_after in 1..2000_u64,
        minimum_calls in 1..=8_u64,
        (open_wait, open_wait_factor, times) in (1..=200_u64, 1..=3_u32, 1..=10_u64),
        (half_open_calls, half_open_time) in (1..=5_u64, 1..=1000_u64),
    ) -> Settings {
        let minimum_calls = match window {
            ModelWindow::Count(calls) => minimum_calls.min(calls.into()),
            ModelWindow::TwentyTimes(_) => minimum_calls,
        };
        Settings {
            window, failure_percent, slow_percent, slow_after, minimum_calls, open_wait, open_wait_factor,
            open_wait_cap: open_wait * times, half_open_calls, half_open_time,
        }
    }
}

/// A breaker and its model, side by side.
struct Pair {
    breaker: Breaker,
    model: Model,
    now: Instant,
    most_out: usize,
    /// Calls that are out, with the generation in which they began.
    out: Vec<(Permit, ModelPermit, u64)>,
}

impl Pair {
    fn new(settings: &Settings) -> Pair {
        let now = Instant::now();
        let breaker = Breaker::new(settings.config(), now).unwrap();
        let model = Model::new(settings.clone());
        Pair {
            breaker,
            model,
            now,
            most_out: usize::try_from(settings.half_open_calls).unwrap(),
            out: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Pass(time) => {
                self.now += Duration::from_millis(*time);
                self.model.pass(*time);
            }
            Step::Acquire => self.acquire()?,
            Step::Force(state) => {
                match state {
                    State::ForcedOpen => self.breaker.force_open(),
                    State::ForcedClosed => self.breaker.force_closed(),
                    _ => self.breaker.reset(),
                }
                self.model.force(*state);
            }
            Step::Succeed(index) | Step::Fail(index) | Step::Ignore(index) | Step::Drop(index) => {
                if !self.out.is_empty() {
                    self.end(step, index.index(self.out.len()))?;
                }
            }
        }
        self.compare()
    }

    fn acquire(&mut self) -> TestCaseResult {
        let refusal = self.breaker.refusal(self.now);
        match (self.breaker.acquire(self.now), self.model.acquire()) {
            (Ok(permit), Ok(modelled)) => {
                prop_assert_eq!(refusal, None);
                self.out.push((permit, modelled, self.breaker.generation()));
            }
            (Err(refused), Err((retry_after, state))) => {
                prop_assert_eq!(refusal, Some(refused));
                prop_assert!(refused.retry_after > Duration::ZERO);
                prop_assert_eq!(refused.retry_after, Duration::from_millis(retry_after));
                prop_assert_eq!(refused.state, state);
            }
            (breaker, model) => prop_assert!(false, "breaker: {breaker:?}, model: {model:?}"),
        }
        Ok(())
    }

    fn end(&mut self, step: &Step, index: usize) -> TestCaseResult {
        let (permit, modelled, generation) = self.out.swap_remove(index);
        self.breaker.advance(self.now);
        let outdated = generation != self.breaker.generation();
        let mut before = self.breaker.snapshot(self.now);
        match step {
            Step::Succeed(_) => {
                self.breaker.succeeded(permit, self.now, 0.7);
                self.model.end(modelled, false);
            }
            Step::Fail(_) => {
                self.breaker.failed(permit, self.now, 0.3, "no answer");
                self.model.end(modelled, true);
            }
            Step::Ignore(_) => {
                self.breaker.ignored(permit, self.now);
                self.model.ignore(modelled);
            }
            _ => {
                self.breaker.dropped(permit, self.now);
                self.model.drop_call(modelled);
            }
        }
        if outdated {
            before.counts.outdated += 1;
            prop_assert_eq!(self.breaker.snapshot(self.now), before, "an answer of an earlier generation");
        }
        Ok(())
    }

    fn compare(&mut self) -> TestCaseResult {
        prop_assert_eq!(self.breaker.state(self.now), self.model.state(), "before the transition is made");
        let Snapshot { state, window, counts, transitions, .. } = self.breaker.snapshot(self.now);
        prop_assert_eq!(state, self.model.state());
        prop_assert_eq!(window, self.model.tally());
        prop_assert_eq!(counts, self.model.counts);
        prop_assert_eq!(transitions, self.model.transitions);
        if state == State::HalfOpen {
            let generation = self.breaker.generation();
            let out = self.out.iter().filter(|(_, _, began)| *began == generation).count();
            prop_assert!(out <= self.most_out, "{out} trial calls are out");
        }
        Ok(())
    }
}

#[test]
fn does_what_the_model_does() {
    let seen = Cell::new(Transitions::default());
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..300);
    let outcome = TestRunner::new(config).run(&(settings(), steps), |(settings, steps)| {
        let mut pair = Pair::new(&settings);
        for step in steps {
            pair.take(&step)?;
        }
        let (sum, more) = (seen.get(), pair.model.transitions);
        seen.set(Transitions {
            opened: sum.opened + more.opened,
            half_opened: sum.half_opened + more.half_opened,
            reopened: sum.reopened + more.reopened,
            closed: sum.closed + more.closed,
            forced: sum.forced + more.forced,
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let Transitions { opened, half_opened, reopened, closed, forced } = seen.get();
    for transitions in [opened, half_opened, reopened, closed, forced] {
        assert!(transitions > 500, "the steps seldom go everywhere: {:?}", seen.get());
    }
}

proptest! {
    #[test]
    fn with_quick_successes_only_it_never_opens(
        window in prop_oneof![
            (4..100_u32).prop_map(Window::Count),
            (1..100_u64).prop_map(|time| Window::Time(seconds(time))),
        ],
        calls in prop::collection::vec((0..5000_u64, 0..=2000_u64), 0..200),
    ) {
        let mut bench = Bench::new(BreakerConfig { window, failure_rate: 0.01, slow_rate: 0.01, ..config() });
        for (pause, took) in calls {
            bench.pass(Duration::from_millis(pause));
            bench.succeed_after(Duration::from_millis(took), 1);
            prop_assert_eq!(bench.state(), State::Closed);
        }
    }

    #[test]
    fn after_the_wait_it_is_half_open_however_late_somebody_asks(reopened in 0..6_u32, late in 0..10_000_000_u64) {
        let mut bench = Bench::open(config());
        for _ in 0..reopened {
            let wait = bench.acquire().unwrap_err().retry_after;
            bench.pass(wait);
            bench.fail(2);
        }
        let wait = bench.acquire().unwrap_err().retry_after;
        bench.pass(wait - Duration::from_nanos(1));
        prop_assert_eq!(bench.state(), State::Open);
        bench.pass(Duration::from_nanos(1) + Duration::from_millis(late));
        prop_assert_eq!(bench.state(), State::HalfOpen);
        let _permits = bench.permits(3);
        prop_assert!(bench.acquire().is_err());
    }
}
