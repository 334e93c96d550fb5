//! When a closed breaker opens, and when not.

use crate::support::{Bench, config, seconds};
use resilience::{BreakerConfig, Counts, State, Tally, Window};

#[test]
fn opens_when_the_failure_rate_reaches_its_threshold() {
    let mut bench = Bench::new(config());
    bench.succeed(5);
    bench.fail(4);
    assert_eq!(bench.state(), State::Closed, "4 of 9");
    bench.fail(1);
    assert_eq!(bench.state(), State::Open, "5 of 10");
    assert_eq!(bench.snapshot().because, "5 of 10 calls failed, the last one with: connection refused");
}

#[test]
fn stays_closed_below_the_minimum_of_calls() {
    let mut bench = Bench::new(config());
    bench.fail(3);
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.window().failure_rate(), 1.0);
}

#[test]
fn a_success_that_makes_the_minimum_full_opens_too() {
    let mut bench = Bench::new(config());
    bench.fail(3);
    bench.succeed(1);
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn opens_when_the_rate_of_slow_calls_reaches_its_threshold() {
    let mut bench = Bench::new(config());
    bench.succeed(1);
    bench.succeed_after(seconds(3), 2);
    assert_eq!(bench.state(), State::Closed);
    bench.succeed_after(seconds(3), 1);
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.snapshot().because, "3 of 4 calls took longer than 2s");
    assert_eq!(bench.snapshot().counts, Counts { succeeded: 4, slow: 3, ..Counts::default() });
}

#[test]
fn a_call_of_just_the_threshold_is_not_slow() {
    let mut bench = Bench::new(config());
    bench.succeed_after(seconds(2), 10);
    assert_eq!(bench.window(), Tally { calls: 10, failed: 0, slow: 0 });
}

#[test]
fn a_failure_can_be_slow_as_well() {
    let mut bench = Bench::new(config());
    let permit = bench.acquire().unwrap();
    bench.pass(seconds(3));
    bench.breaker.failed(permit, bench.now, 0.0, "no answer");
    assert_eq!(bench.window(), Tally { calls: 1, failed: 1, slow: 1 });
}

#[test]
fn a_window_of_calls_forgets_those_before_the_last_ones() {
    let mut bench = Bench::new(config());
    bench.succeed(3);
    bench.fail(2);
    bench.succeed(10);
    assert_eq!(bench.window(), Tally { calls: 10, failed: 0, slow: 0 });
    bench.fail(4);
    assert_eq!(bench.state(), State::Closed);
    bench.fail(1);
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn a_window_of_time_forgets_what_is_older() {
    let mut bench = Bench::new(BreakerConfig { window: Window::Time(seconds(20)), ..config() });
    bench.fail(3);
    bench.pass(seconds(20));
    bench.fail(3);
    assert_eq!(bench.state(), State::Closed, "never four within 20 s");
    bench.pass(seconds(19));
    bench.fail(1);
    assert_eq!(bench.state(), State::Open);
}

#[test]
fn calls_that_say_nothing_or_were_given_up_count_in_no_rate() {
    let mut bench = Bench::new(config());
    bench.fail(3);
    for permit in bench.permits(10) {
        bench.breaker.ignored(permit, bench.now);
    }
    for permit in bench.permits(10) {
        bench.breaker.dropped(permit, bench.now);
    }
    assert_eq!(bench.state(), State::Closed);
    assert_eq!(bench.window(), Tally { calls: 3, failed: 3, slow: 0 });
    assert_eq!(bench.snapshot().counts, Counts { failed: 3, ignored: 10, dropped: 10, ..Counts::default() });
}

#[test]
fn the_last_failure_is_kept_in_200_bytes_at_most() {
    let mut bench = Bench::new(config());
    let permit = bench.acquire().unwrap();
    bench.breaker.failed(permit, bench.now, 0.0, &"é".repeat(1000));
    assert_eq!(bench.snapshot().last_failure, "é".repeat(100));
    let permit = bench.acquire().unwrap();
    bench.breaker.failed(permit, bench.now, 0.0, &format!("x{}", "é".repeat(1000)));
    assert_eq!(bench.snapshot().last_failure, format!("x{}", "é".repeat(99)), "no half of a character");
}

#[test]
fn wrong_settings_make_no_breaker() {
    let wrong = BreakerConfig { failure_rate: 50.0, ..config() };
    let mistakes = resilience::Breaker::new(wrong, std::time::Instant::now()).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        "settings of a circuit breaker: failure_rate is 50, it has to be above 0 and at most 1"
    );
}
