//! The trial: who may call, and how it ends.

use crate::support::{Bench, config, seconds};
use resilience::{BreakerConfig, Refused, State, Tally, Transitions};

#[test]
fn exactly_the_permitted_calls_go_through() {
    let mut bench = Bench::half_open(config());
    let _permits = bench.permits(3);
    let refused = bench.acquire().unwrap_err();
    assert_eq!(refused, Refused { retry_after: seconds(1), state: State::HalfOpen });
}

#[test]
fn a_call_that_has_ended_makes_no_room_for_another() {
    let mut bench = Bench::half_open(BreakerConfig { failure_rate: 1.0, ..config() });
    bench.fail(2);
    let _permit = bench.acquire().unwrap();
    assert!(bench.acquire().is_err());
}

#[test]
fn good_calls_close_it_with_an_empty_window_and_the_first_wait() {
    let mut bench = Bench::half_open(config());
    bench.fail(2);
    bench.pass(seconds(2));
    bench.succeed(2);
    assert_eq!(bench.state(), State::Closed, "one bad call of three would change nothing");
    assert_eq!(bench.window(), Tally::default());
    assert_eq!(bench.snapshot().because, "2 of 2 trial calls succeeded");
    bench.fail(4);
    assert_eq!(bench.acquire().unwrap_err().retry_after, seconds(1));
    let transitions = Transitions { opened: 2, half_opened: 2, reopened: 1, closed: 1, forced: 0 };
    assert_eq!(bench.snapshot().transitions, transitions);
}

#[test]
fn bad_calls_open_it_again_as_soon_as_the_rest_cannot_help() {
    let mut bench = Bench::half_open(config());
    bench.succeed(1);
    bench.fail(1);
    assert_eq!(bench.state(), State::HalfOpen, "1 of 3 or 2 of 3");
    assert_eq!(bench.window(), Tally { calls: 2, failed: 1, slow: 0 });
    bench.fail(1);
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.snapshot().because, "2 of 3 trial calls failed, the last one with: connection refused");
}

#[test]
fn slow_calls_open_it_again() {
    let mut bench = Bench::half_open(config());
    bench.succeed_after(seconds(3), 3);
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.snapshot().because, "3 of 3 trial calls took longer than 2s");
}

#[test]
fn a_call_that_says_nothing_or_was_given_up_makes_room_for_another() {
    let mut bench = Bench::half_open(config());
    let [ignored, dropped, _out]: [_; 3] = bench.permits(3).try_into().unwrap();
    bench.breaker.ignored(ignored, bench.now);
    bench.breaker.dropped(dropped, bench.now);
    let _permits = bench.permits(2);
    assert!(bench.acquire().is_err());
}

#[test]
fn calls_that_never_end_open_it_again_when_the_time_is_up() {
    let mut bench = Bench::half_open(config());
    bench.succeed(1);
    let late = bench.permits(2);
    bench.pass(seconds(30));
    assert_eq!(bench.state(), State::Open);
    let refused = bench.acquire().unwrap_err();
    assert_eq!(refused, Refused { retry_after: seconds(2), state: State::Open });
    assert_eq!(bench.snapshot().because, "2 trial calls did not end in 30s");
    for permit in late {
        bench.breaker.succeeded(permit, bench.now, 0.0);
    }
    assert_eq!(bench.state(), State::Open, "too late");
    bench.pass(seconds(2));
    let _permits = bench.permits(3);
}

#[test]
fn the_wait_after_a_trial_begins_when_its_time_was_up_and_not_when_somebody_asks() {
    let mut bench = Bench::half_open(config());
    let _never_ends = bench.acquire().unwrap();
    bench.pass(seconds(31));
    assert_eq!(bench.acquire().unwrap_err().retry_after, seconds(1));
    bench.pass(seconds(1));
    assert_eq!(bench.state(), State::HalfOpen);
}

#[test]
fn few_good_calls_close_it_when_the_time_is_up() {
    let mut bench = Bench::half_open(config());
    bench.succeed(1);
    bench.pass(seconds(29));
    assert_eq!(bench.state(), State::HalfOpen);
    bench.pass(seconds(1));
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.snapshot().transitions.closed, 1);
}

#[test]
fn the_time_of_a_trial_begins_with_its_first_call() {
    let mut bench = Bench::half_open(config());
    let given_up = bench.acquire().unwrap();
    bench.breaker.dropped(given_up, bench.now);
    bench.pass(seconds(100));
    let _out = bench.acquire().unwrap();
    bench.pass(seconds(29));
    assert_eq!(bench.state(), State::HalfOpen);
}
