//! What every process serves beside its own routes: health, metrics, problems.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use process::health::{Dependency, Readiness};
use process::metrics::Metrics;
use process::problem::{catch_panic, method_not_allowed, not_found};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use crate::support::{Client, few, get as fetch, start, until};

#[tokio::test]
async fn readiness_looks_as_kubernetes_prints_it() {
    let broken = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&broken);
    let readiness = Readiness::new().check("store", async || Ok(())).check("topic", move || {
        let broken = state.load(Ordering::Acquire);
        async move { if broken { Err("no broker\nanswers".to_owned()) } else { Ok(()) } }
    });
    let server = start(few(), readiness.router());
    assert_eq!(fetch(server.addr, "/livez").await.text(), "ok");
    let answer = fetch(server.addr, "/readyz").await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));

    let answer = fetch(server.addr, "/readyz?verbose").await;
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let (latency, since) = lines[0].strip_prefix("[+]store ok ").unwrap().split_once("ms since 2").unwrap();
    assert!(latency.parse::<f64>().is_ok() && since.ends_with('Z'), "{latency} {since}");
    assert!(lines[1].starts_with("[+]topic ok "));
    assert_eq!(lines[2], "readyz check passed");

    broken.store(true, Ordering::Release);
    until("the failure shows", async || fetch(server.addr, "/readyz").await.status == 503).await;
    let answer = fetch(server.addr, "/readyz").await;
    let topic = answer.text().lines().find(|line| line.starts_with("[-]topic failed "));
    assert!(topic.is_some_and(|line| line.ends_with("Z: no broker answers")), "{}", answer.text());
    assert!(answer.text().ends_with("readyz check failed\n"));
}

#[tokio::test]
async fn draining_is_not_ready_at_once_and_still_live() {
    let readiness = Readiness::new().check("store", async || Ok(()));
    let server = start(few(), readiness.router());
    assert_eq!(fetch(server.addr, "/readyz").await.status, 200);
    readiness.drain();
    let answer = fetch(server.addr, "/readyz?verbose").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("[+]store ok"), "{}", answer.text());
    assert!(answer.text().contains("\n[-]shutdown failed: "), "{}", answer.text());
    assert_eq!(fetch(server.addr, "/livez").await.status, 200);
}

#[tokio::test]
async fn many_probes_at_once_are_one_check() {
    let (runs, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, go) = (Arc::clone(&runs), Arc::clone(&release));
    let store = Dependency::new("store", move || {
        let (count, go) = (Arc::clone(&count), Arc::clone(&go));
        async move {
            count.fetch_add(1, Ordering::AcqRel);
            go.notified().await;
            Ok(())
        }
    });
    let readiness = Readiness::new().with(store.within(Duration::from_secs(600)));
    let server = start(few(), readiness.router());
    let mut probes = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.addr).await;
        client.send("GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n").await;
        probes.push(client);
    }
    until("the check runs", async || runs.load(Ordering::Acquire) > 0).await;
    // The prober that began the run goes away; the run goes on for the others.
    drop(probes.remove(0));
    release.notify_one();
    for probe in &mut probes {
        assert_eq!(probe.answer().await.status, 200);
    }
    assert_eq!(fetch(server.addr, "/readyz").await.status, 200, "answered from the last outcome");
    assert_eq!(runs.load(Ordering::Acquire), 1);
}

#[tokio::test]
async fn a_check_that_hangs_or_panics_has_failed() {
    let readiness = Readiness::new()
        .with(Dependency::new("slow", std::future::pending).within(Duration::from_millis(50)))
        .check("broken", async || panic!("a bug in a check"));
    let server = start(few(), readiness.router());
    let answer = fetch(server.addr, "/readyz").await;
    assert_eq!(answer.status, 503);
    for (begin, end) in
        [("[-]slow failed ", "Z: no answer within 50ms"), ("[-]broken failed ", "Z: the check panicked")]
    {
        let line = answer.text().lines().find(|line| line.starts_with(begin) && line.ends_with(end));
        assert!(line.is_some(), "{begin}…{end} is not in {}", answer.text());
    }
}

#[tokio::test]
async fn metrics_are_openmetrics_with_bounded_labels() {
    let mut metrics = Metrics::new("logpipeline");
    let accepted = Counter::<u64>::default();
    metrics.registry().register("events_accepted", "Events accepted", accepted.clone());
    accepted.inc_by(7);
    let layer = metrics.http_layer();
    let app = Router::new()
        .route("/logs/{id}", get(async || "log"))
        .merge(metrics.router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(layer);
    let server = start(few(), app);
    for path in ["/logs/1", "/logs/2", "/nothing", "/nothing/else"] {
        fetch(server.addr, path).await;
    }
    let mut odd = Client::connect(server.addr).await;
    odd.send("BREW /logs/1 HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(odd.answer().await.status, 405);

    let answer = fetch(server.addr, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answer.text();
    let line = |line: &str| assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    line("logpipeline_events_accepted_total 7");
    line("# TYPE http_server_request_duration_seconds histogram");
    let count = "http_server_request_duration_seconds_count";
    line(&format!(r#"{count}{{method="GET",route="/logs/{{id}}",status="200"}} 2"#));
    line(&format!(r#"{count}{{method="GET",route="other",status="404"}} 2"#));
    line(&format!(r#"{count}{{method="other",route="/logs/{{id}}",status="405"}} 1"#));
    assert!(text.ends_with("# EOF\n"));
    if cfg!(target_os = "linux") {
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            let value =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
            assert!(value.trim().parse::<f64>().unwrap() >= 0.0, "{name}{value}");
        }
        let start = text.lines().find_map(|line| line.strip_prefix("process_start_time_seconds ")).unwrap();
        let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
            - start.parse::<f64>().unwrap();
        assert!((-2.0..3600.0).contains(&age), "this process began {age} s ago");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let app = Router::new()
        .route("/logs", get(async || "logs"))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed);
    let server = start(few(), app);
    let answer = fetch(server.addr, "/nothing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.problem()["detail"], "there is nothing at GET /nothing");
    let mut client = Client::connect(server.addr).await;
    client.send("DELETE /logs HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.problem()["title"], "Method Not Allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn a_panic_costs_its_own_request_a_500() {
    async fn broken() -> &'static str {
        panic!("a bug in a handler")
    }
    let app =
        Router::new().route("/broken", get(broken)).route("/", get(async || "hello")).layer(catch_panic());
    let server = start(few(), app);
    let mut client = Client::connect(server.addr).await;
    let answer = client.get("/broken").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.problem()["detail"].as_str().unwrap().contains("bug"), "the panic's words stay inside");
    assert_eq!(client.get("/").await.text(), "hello", "on the same connection");
}
