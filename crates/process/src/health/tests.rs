//! Readiness as probes see it, with a clock that stands until something waits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use axum::body::{Body, to_bytes};
use futures::future::join_all;
use http::Request;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::{Instant, advance, sleep};
use tower::ServiceExt;

/// One whose time for people is that of the paused runtime.
fn readiness() -> Readiness {
    let start = Instant::now();
    Readiness::by(Arc::new(move || UNIX_EPOCH + start.elapsed()))
}

/// As a person asks.
async fn look(router: &Router) -> (u16, String) {
    ask(router, "/readyz?verbose").await
}

/// As a probe asks.
async fn probe(router: &Router) -> (u16, String) {
    ask(router, "/readyz").await
}

async fn ask(router: &Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn since_is_when_the_state_was_first_seen() {
    let (start, broken) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let state = Arc::clone(&broken);
    let readiness = readiness().check("store", move || {
        let broken = state.load(Ordering::Acquire);
        async move { if broken { Err("away".to_owned()) } else { Ok(()) } }
    });
    let router = readiness.router();
    for (at, is_broken, line) in [
        (0, false, "[+]store ok 0.0ms since 1970-01-01T00:00:00Z\n"),
        (60, false, "[+]store ok 0.0ms since 1970-01-01T00:00:00Z\n"),
        (70, true, "[-]store failed 0.0ms since 1970-01-01T00:01:10Z: away\n"),
        (3700, true, "[-]store failed 0.0ms since 1970-01-01T00:01:10Z: away\n"),
        (3710, false, "[+]store ok 0.0ms since 1970-01-01T01:01:50Z\n"),
    ] {
        advance(Duration::from_secs(at) - start.elapsed()).await;
        broken.store(is_broken, Ordering::Release);
        let (status, text) = look(&router).await;
        assert_eq!(status, if is_broken { 503 } else { 200 });
        assert!(text.starts_with(line), "at {at} s: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_only_shown_takes_nothing_out_of_rotation() {
    let hangs = Dependency::new("redis", std::future::pending).within(Duration::from_millis(50)).only_shown();
    let panics = Dependency::new("postgres", async || panic!("a bug in a check")).only_shown();
    let shown = readiness().with(hangs).with(panics).check("kafka", async || Ok(()));
    let (status, text) = look(&shown.router()).await;
    let redis =
        "[!]redis failed (not needed to be ready) 50.0ms since 1970-01-01T00:00:00Z: no answer within 50ms";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((status, lines[1], lines[3]), (200, redis, "readyz check passed"), "{text}");
    assert!(
        lines[0].starts_with("[+]kafka ok ") && lines[2].starts_with("[!]postgres failed (not "),
        "{text}"
    );
    let (status, text) = look(&shown.check("disk", async || Err("full".into())).router()).await;
    assert_eq!(status, 503, "{text}");
}

/// However many ask, a dependency is asked at most once a second, and what takes longer once at a time.
#[tokio::test(start_paused = true)]
async fn two_hundred_probes_at_once_are_one_check() {
    const TAKES: Duration = Duration::from_millis(1500);
    let looks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looks);
    let slow = Dependency::new("store", move || {
        count.fetch_add(1, Ordering::AcqRel);
        async {
            sleep(TAKES).await;
            Ok(())
        }
    });
    let router = readiness().with(slow).router();
    for (pause, expected) in [(0, 1), (999, 1), (1, 2), (1000, 3)] {
        advance(Duration::from_millis(pause)).await;
        let answers = join_all((0..200).map(|_| look(&router))).await;
        assert!(answers.iter().all(|(status, text)| (*status, text) == (200, &answers[0].1)), "{answers:?}");
        assert_eq!(looks.load(Ordering::Acquire), expected, "after {pause} ms");
    }
}

/// A prober that gives up leaves the check to the others.
#[tokio::test(start_paused = true)]
async fn probers_that_go_away_begin_no_other_check() {
    let looks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looks);
    let router = readiness()
        .check("store", move || {
            count.fetch_add(1, Ordering::AcqRel);
            async {
                sleep(Duration::from_secs(1)).await;
                Ok(())
            }
        })
        .router();
    for _ in 0..50 {
        let gone = tokio::time::timeout(Duration::from_millis(10), probe(&router)).await;
        assert!(gone.is_err(), "the check takes longer");
    }
    assert_eq!(probe(&router).await.0, 200);
    assert_eq!(looks.load(Ordering::Acquire), 1);
}

/// Nobody waits for what is not needed, and yet it is looked at: who asks later is told since when it is out.
#[tokio::test(start_paused = true)]
async fn probes_have_shown_dependencies_looked_at_and_do_not_wait() {
    let (start, looks) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&looks);
    let slow = Dependency::new("postgres", move || {
        count.fetch_add(1, Ordering::AcqRel);
        async {
            sleep(Duration::from_secs(5)).await;
            Err("no connection".into())
        }
    });
    let router = readiness().with(slow.only_shown()).router();
    let answers = join_all((0..200).map(|_| probe(&router))).await;
    assert!(answers.iter().all(|answer| *answer == (200, "ok".into())), "{answers:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(looks.load(Ordering::Acquire), 1);
    let line =
        "[!]postgres failed (not needed to be ready) 5000.0ms since 1970-01-01T00:00:05Z: no connection\n";
    assert_eq!(look(&router).await, (200, format!("{line}readyz check passed\n")));
    assert_eq!(looks.load(Ordering::Acquire), 2);
}
