//! What a request pays for its trace, in nanoseconds and without any network: `cargo run --release --example trace_cost`.
//! Spans are sent to the receiver that is named, such as `http://127.0.0.1:4318`; to one that is not there by default.

use http::HeaderMap;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use trace::{Context, Incoming, Kind, Span, TRACEPARENT, otlp};

const ROUNDS: u32 = 1_000_000;
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";

fn measure(what: &str, mut work: impl FnMut()) {
    let best = (0..5).map(|_| {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        begun.elapsed() / ROUNDS
    });
    println!("{what:60} {:>6} ns", best.min().unwrap_or_default().as_nanos());
}

/// A request: its context is read or begun, is current for two polls, and goes on as a header.
fn request(headers: &mut HeaderMap) {
    let since = Instant::now();
    let trace = Incoming::accept(headers);
    let context = trace.as_ref().map(Incoming::context);
    for _ in 0..2 {
        let _entered = trace::enter(black_box(context));
    }
    black_box(context.map(Context::header));
    if let Some(span) = trace.and_then(|trace| trace.end(since, false)) {
        let mut span = span.named("POST /api/v1/logs".to_owned());
        for key in ["http.request.method", "url.scheme", "http.route", "url.path"] {
            span.set(key, "/api/v1/logs".to_owned());
        }
        span.set("http.response.status_code", 202_i64);
    }
}

fn requests(tracer: &str) {
    measure(&format!("{tracer}: the clock alone"), || {
        black_box(Instant::now());
    });
    measure(&format!("{tracer}: a request that brings nothing"), || request(&mut HeaderMap::new()));
    for (flag, what) in [(0, "a context that is not sampled"), (1, "a sampled context")] {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, format!("{PARENT}{flag}").parse().expect("it is a header"));
        measure(&format!("{tracer}: a request that brings {what}"), || request(&mut headers));
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let receiver = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:1".to_owned());
    requests("without a tracer");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = otlp::Config::read(&mut settings::Settings::new(variables));
    let exporting =
        otlp::start(config, "trace_cost", "0").expect("the receiver can be named").expect("it is named");
    requests("with a tracer");
    // Few enough that none is dropped: what the exporter does with a span is its CPU time.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let parent = Context::parse(format!("{PARENT}1").as_bytes()).expect("it is a context");
    let (before, spans) = (cpu(), 100_000);
    for _ in 0..spans / 400 {
        for _ in 0..400 {
            drop(Span::within(parent, Kind::Client).map(|mut span| {
                for key in ["http.request.method", "url.full", "server.address", "server.port", "status"] {
                    span.set(key, "/api/v1/logs".to_owned());
                }
                span
            }));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    exporting.end().await;
    println!(
        "with a tracer: a span with all that its sending costs  {:>6} ns",
        (cpu() - before).as_nanos() / spans
    );
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
