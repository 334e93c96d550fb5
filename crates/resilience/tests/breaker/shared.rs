//! One breaker for many tasks, with the runtime's clock stopped.

use crate::support::{config, seconds};
use resilience::{CallError, Changes, Outcome, PermitGuard, SharedBreaker, State, Status};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

fn closed() -> SharedBreaker {
    SharedBreaker::new(config(), || 0.0).unwrap()
}

fn open() -> SharedBreaker {
    let breaker = closed();
    for _ in 0..4 {
        breaker.acquire().unwrap().failed("connection refused");
    }
    assert_eq!(breaker.snapshot().state, State::Open);
    breaker
}

fn classify(result: &Result<u32, &'static str>) -> Outcome {
    match result {
        Ok(_) => Outcome::Succeeded,
        Err("bad data") => Outcome::Ignored,
        Err(error) => Outcome::Failed((*error).into()),
    }
}

/// Lets the other tasks run as far as they get without time.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Workers that wait for leave and put it where the test finds it.
fn workers(breaker: &SharedBreaker, number: usize) -> JoinSet<PermitGuard> {
    let mut workers = JoinSet::new();
    for _ in 0..number {
        let breaker = breaker.clone();
        workers.spawn(async move { breaker.acquire_or_wait().await });
    }
    workers
}

/// Those that have their leave without waiting any longer.
async fn through(workers: &mut JoinSet<PermitGuard>) -> Vec<PermitGuard> {
    settle().await;
    let mut through = Vec::new();
    while let Some(guard) = workers.try_join_next() {
        through.push(guard.unwrap());
    }
    through
}

async fn next(changes: &mut Changes) -> Option<Status> {
    timeout(seconds(1000), changes.next()).await.expect("a transition is told")
}

#[tokio::test(start_paused = true)]
async fn a_call_gives_its_result_and_counts() {
    let breaker = closed();
    assert_eq!(breaker.call(async { Ok(7) }, classify).await, Ok(7));
    assert_eq!(breaker.call(async { Err("bad data") }, classify).await, Err(CallError::Failed("bad data")));
    let slow = async {
        sleep(seconds(3)).await;
        Err("no answer")
    };
    assert_eq!(breaker.call(slow, classify).await, Err(CallError::Failed("no answer")));
    let snapshot = breaker.snapshot();
    let counts = snapshot.counts;
    assert_eq!((counts.succeeded, counts.ignored, counts.failed, counts.slow), (1, 1, 1, 1));
    assert_eq!(snapshot.last_failure, "no answer");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_not_begun() {
    let breaker = open();
    let began = AtomicUsize::new(0);
    let call = async {
        began.fetch_add(1, Ordering::Relaxed);
        Ok(7)
    };
    let refused = breaker.call(call, classify).await.unwrap_err();
    assert_eq!(refused.to_string(), "the circuit breaker is open: calls are refused, try again in 1s");
    assert_eq!(began.into_inner(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_place_back() {
    let breaker = open();
    sleep(seconds(1)).await;
    for _ in 0..10 {
        let hangs = breaker.call(pending(), classify);
        timeout(Duration::from_millis(10), hangs).await.unwrap_err();
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.counts.dropped), (State::HalfOpen, 10));
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_or_says_nothing_lets_the_next_waiter_through() {
    let breaker = open();
    let mut workers = workers(&breaker, 5);
    sleep(seconds(1)).await;
    let mut guards = through(&mut workers).await;
    assert_eq!(guards.len(), 3);
    let began = Instant::now();
    drop(guards.pop());
    let next = through(&mut workers).await;
    guards.pop().unwrap().ignored();
    let last = through(&mut workers).await;
    assert_eq!((next.len(), last.len()), (1, 1));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waiters_hold_while_it_is_open_and_only_the_permitted_ones_go_on() {
    let breaker = open();
    let mut workers = workers(&breaker, 20);
    sleep(Duration::from_millis(999)).await;
    assert_eq!(through(&mut workers).await.len(), 0);
    sleep(Duration::from_millis(2)).await;
    let guards = through(&mut workers).await;
    assert_eq!(guards.len(), 3);
    sleep(seconds(20)).await;
    assert_eq!(through(&mut workers).await.len(), 0, "the trial calls are still out");
    assert_eq!(breaker.snapshot().counts.refused, 0, "who waits is not refused");
}

#[tokio::test(start_paused = true)]
async fn all_waiters_are_woken_at_once_when_it_closes() {
    let breaker = open();
    let mut workers = workers(&breaker, 20);
    sleep(Duration::from_millis(1001)).await;
    let guards = through(&mut workers).await;
    let began = Instant::now();
    for guard in guards {
        guard.succeeded();
    }
    assert_eq!(through(&mut workers).await.len(), 17);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waiters_hold_on_when_it_opens_again() {
    let breaker = open();
    let mut workers = workers(&breaker, 20);
    sleep(Duration::from_millis(1001)).await;
    for guard in through(&mut workers).await {
        guard.failed("still away");
    }
    sleep(Duration::from_millis(1990)).await;
    assert_eq!(through(&mut workers).await.len(), 0, "the second wait is 2 s");
    sleep(Duration::from_millis(20)).await;
    assert_eq!(through(&mut workers).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn waiters_get_through_after_calls_that_never_end() {
    let breaker = open();
    let mut workers = workers(&breaker, 5);
    let began = Instant::now();
    let mut never_end = Vec::new();
    for _ in 0..5 {
        never_end.push(workers.join_next().await.unwrap().unwrap());
    }
    // 1 s open, 30 s of a trial, 2 s open.
    let waited = began.elapsed();
    assert!(waited >= seconds(33) && waited < seconds(34), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_ran_out_is_told_while_all_callers_wait() {
    let breaker = open();
    let mut workers = workers(&breaker, 5);
    sleep(seconds(2)).await;
    let _never_end = through(&mut workers).await;
    let mut changes = breaker.changes();
    let began = Instant::now();
    let status = next(&mut changes).await.unwrap();
    assert_eq!((status.state, status.because.as_str()), (State::Open, "3 trial calls did not end in 30s"));
    assert!(began.elapsed() <= seconds(30), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_by_force() {
    let breaker = closed();
    breaker.force_open();
    let mut workers = workers(&breaker, 5);
    sleep(seconds(100)).await;
    assert_eq!(through(&mut workers).await.len(), 0);
    let began = Instant::now();
    breaker.reset();
    assert_eq!(through(&mut workers).await.len(), 5);
    breaker.force_closed();
    assert_eq!(breaker.snapshot().state, State::ForcedClosed);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waiting_until_it_is_ready_takes_no_place() {
    let breaker = open();
    let began = Instant::now();
    for _ in 0..10 {
        breaker.wait_ready().await;
    }
    assert!(began.elapsed() >= seconds(1) && began.elapsed() < Duration::from_millis(1010));
    let _guards = [(); 3].map(|()| breaker.acquire().unwrap());
    assert!(breaker.acquire().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_takes_nothing_with_it() {
    let breaker = open();
    timeout(Duration::from_millis(500), breaker.acquire_or_wait()).await.unwrap_err();
    sleep(Duration::from_millis(500)).await;
    let _guards = [(); 3].map(|()| breaker.acquire().unwrap());
}

#[tokio::test(start_paused = true)]
async fn each_transition_is_told_once_with_its_reason() {
    let breaker = closed();
    let mut changes = breaker.changes();
    for _ in 0..4 {
        breaker.acquire().unwrap().failed("connection refused");
    }
    let because = "4 of 4 calls failed, the last one with: connection refused".to_owned();
    assert_eq!(next(&mut changes).await, Some(Status { generation: 1, state: State::Open, because }));
    assert!(timeout(Duration::from_millis(999), changes.next()).await.is_err());

    let guard = breaker.acquire_or_wait().await;
    let because = "the wait is over, 3 calls may try".to_owned();
    assert_eq!(next(&mut changes).await, Some(Status { generation: 2, state: State::HalfOpen, because }));

    guard.succeeded();
    breaker.acquire().unwrap().succeeded();
    let because = "2 of 2 trial calls succeeded".to_owned();
    assert_eq!(next(&mut changes).await, Some(Status { generation: 3, state: State::Closed, because }));

    drop(breaker);
    assert_eq!(next(&mut changes).await, None);
}

/// On real threads: however they race, no more trial calls are out than permitted, and all get through in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_threads_keep_the_limit_of_a_trial() {
    let mut config = config();
    config.open_wait = Duration::from_millis(20);
    let breaker = SharedBreaker::new(config, || 0.0).unwrap();
    for _ in 0..4 {
        breaker.acquire().unwrap().failed("connection refused");
    }
    let (out, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..64 {
        let (breaker, out, most) = (breaker.clone(), out.clone(), most.clone());
        workers.spawn(async move {
            let guard = breaker.acquire_or_wait().await;
            most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            out.fetch_sub(1, Ordering::SeqCst);
            // Says nothing: the trial goes on with the next worker.
            guard.ignored();
        });
    }
    timeout(seconds(30), workers.join_all()).await.expect("all get through");
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 3, "{most} trial calls were out at once");
    assert_eq!(breaker.snapshot().counts.ignored, 64);
}
