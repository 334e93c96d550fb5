//! An open breaker, by itself or by force.

use crate::support::{Bench, config, seconds};
use resilience::{BreakerConfig, Counts, Refused, State, Tally, Transitions};
use std::time::Duration;

#[test]
fn refuses_calls_and_says_how_long_it_is_still_open() {
    let mut bench = Bench::open(config());
    bench.pass(Duration::from_millis(300));
    let refused = bench.acquire().unwrap_err();
    assert_eq!(refused, Refused { retry_after: Duration::from_millis(700), state: State::Open });
    assert_eq!(refused.to_string(), "the circuit breaker is open: calls are refused, try again in 700ms");
    assert_eq!(bench.snapshot().counts.refused, 1);
}

#[test]
fn asking_why_a_call_would_be_refused_counts_nothing() {
    let mut bench = Bench::open(config());
    assert!(bench.breaker.refusal(bench.now).is_some());
    assert_eq!(bench.snapshot().counts.refused, 0);
}

#[test]
fn is_half_open_to_whoever_asks_after_the_wait() {
    let mut bench = Bench::open(config());
    bench.pass(Duration::from_millis(999));
    assert_eq!(bench.state(), State::Open);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.state(), State::HalfOpen);
    assert_eq!(bench.breaker.refusal(bench.now), None);
    bench.pass(seconds(100_000));
    assert_eq!(bench.state(), State::HalfOpen, "nothing happens while nobody calls");
    assert_eq!(bench.snapshot().transitions, Transitions { opened: 1, ..Transitions::default() });
    let _permit = bench.acquire().unwrap();
    assert_eq!(bench.snapshot().transitions.half_opened, 1);
}

#[test]
fn each_wait_is_longer_up_to_the_cap() {
    let mut bench = Bench::open(config());
    for wait in [1, 2, 4, 5, 5] {
        assert_eq!(bench.acquire().unwrap_err().retry_after, seconds(wait));
        bench.pass(seconds(wait));
        bench.fail(2);
    }
    assert_eq!(bench.snapshot().transitions.reopened, 5);
}

#[test]
fn the_random_number_shortens_the_wait() {
    let mut bench = Bench::new(BreakerConfig { open_wait_jitter: 0.5, ..config() });
    bench.fail(3);
    let permit = bench.acquire().unwrap();
    bench.breaker.failed(permit, bench.now, 1.0, "no answer");
    assert_eq!(bench.acquire().unwrap_err().retry_after, Duration::from_millis(500));
}

#[test]
fn a_call_from_before_the_opening_counts_nowhere() {
    let mut bench = Bench::new(config());
    let [good, bad, ignored, dropped]: [_; 4] = bench.permits(4).try_into().unwrap();
    bench.fail(4);
    let before = bench.snapshot();
    bench.breaker.succeeded(good, bench.now, 0.0);
    bench.breaker.failed(bad, bench.now, 0.0, "too late");
    bench.breaker.ignored(ignored, bench.now);
    bench.breaker.dropped(dropped, bench.now);
    let counts = Counts { outdated: 4, ..before.counts };
    assert_eq!(bench.snapshot(), resilience::Snapshot { counts, ..before });
}

#[test]
fn forced_open_it_stays_open_until_it_is_reset() {
    let mut bench = Bench::new(config());
    bench.breaker.force_open();
    bench.pass(seconds(100_000));
    let refused = bench.acquire().unwrap_err();
    assert_eq!(refused, Refused { retry_after: seconds(5), state: State::ForcedOpen });
    bench.breaker.reset();
    bench.succeed(1);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.snapshot().transitions, Transitions { forced: 2, ..Transitions::default() });
}

#[test]
fn forced_closed_it_only_watches() {
    let mut bench = Bench::open(config());
    bench.breaker.force_closed();
    bench.fail(20);
    assert_eq!(bench.state(), State::ForcedClosed);
    assert_eq!(bench.window(), Tally { calls: 10, failed: 10, slow: 0 });
    bench.breaker.reset();
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.window(), Tally::default());
}

#[test]
fn a_reset_forgets_how_often_it_opened() {
    let mut bench = Bench::half_open(config());
    bench.fail(2);
    assert_eq!(bench.acquire().unwrap_err().retry_after, seconds(2));
    bench.breaker.reset();
    bench.fail(4);
    assert_eq!(bench.acquire().unwrap_err().retry_after, seconds(1));
}
