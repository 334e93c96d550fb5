//! Requests that fail, and a receiver that does.

use crate::stage::{Door, Stage, TURN, metric, until};
use fault_tests::run::free_ports;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
/// How long a service may take to end, whatever its receiver of traces does.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request_is_kept_although_its_trace_is_not() {
    let _turn = TURN.lock().await;
    let stage = Stage::set().await;
    let nowhere = format!("http://127.0.0.1:{}", free_ports(1).unwrap()[0]);
    let door = stage
        .door(&nowhere, &[("OTEL_TRACES_SAMPLER_ARG", "0"), ("LOGPIPELINE_LOG", "info,gateway=debug")])
        .await;
    let headers = [("traceparent", NOT_SAMPLED)];
    assert_eq!(door.client.get("/api/v1/no-such-thing").await.status, 404);
    until("the producer is missed", async || {
        door.client.post_with(&headers, "{\"message\":\"lost\"}".into()).await.status == 503
    })
    .await;
    let kept = stage
        .receiver
        .find("the failed request", "logpipeline-gateway", |span| span.kind() == SpanKind::Server)
        .await;
    assert_eq!(
        (kept.attribute("http.response.status_code"), kept.attribute("error.type")),
        ("503".into(), "503".into())
    );
    assert_eq!(kept.span.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(
        (kept.span.flags & 1, kept.span.parent_span_id.len()),
        (0, 8),
        "it stays not sampled: {kept:#?}"
    );
    // Nothing else is kept, and the log says which trace it was.
    let others: Vec<_> = stage
        .receiver
        .all()
        .into_iter()
        .filter(|of| of.attribute("http.response.status_code") != "503")
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    let said = door.service.said("a request failed").unwrap();
    assert!(
        said.iter().any(|line| line.contains("trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=")),
        "{said:?}"
    );
    stage.end().await;
}

async fn send(door: &Door, requests: usize) -> Duration {
    let begun = Instant::now();
    for _ in 0..requests {
        assert_eq!(door.client.post("{\"message\":\"m\"}".into()).await.status, 202);
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_costs_its_spans_and_no_request() {
    let _turn = TURN.lock().await;
    let stage = Stage::set().await;
    let away = format!("http://127.0.0.1:{}", free_ports(1).unwrap()[0]);
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let all = ("OTEL_TRACES_SAMPLER_ARG", "1");
    let usual = stage.open_door(&[all]).await;
    let without = stage.open_door(&[all, ("OTEL_EXPORTER_OTLP_ENDPOINT", &away)]).await;
    let unheard = stage.open_door(&[all, ("OTEL_EXPORTER_OTLP_ENDPOINT", &silent_url)]).await;
    let mut took = [Duration::ZERO; 3];
    for _ in 0..5 {
        for (door, took) in [&usual, &without, &unheard].into_iter().zip(&mut took) {
            *took += send(door, 100).await;
        }
    }
    println!("500 requests took {took:?}: with a receiver, without, with one that says nothing");
    // One request that waits for a receiver would wait for seconds.
    assert!(took.iter().all(|of| *of < took[0].mul_f64(1.5) + Duration::from_secs(1)), "{took:?}");
    for door in [&without, &unheard] {
        until("dropped spans are counted", async || {
            metric(&door.service, "logpipeline_traces_spans_dropped_total{reason=\"refused\"}").await > 0.0
        })
        .await;
        assert!(metric(&door.service, "logpipeline_traces_spans_exported_total").await == 0.0);
        assert_eq!(door.service.said("does not take them").unwrap().len(), 1, "told once");
    }
    until("spans arrive", async || {
        metric(&usual.service, "logpipeline_traces_spans_exported_total").await >= 1_000.0
    })
    .await;
    for door in [&usual, &without, &unheard] {
        let begun = Instant::now();
        door.service.terminate();
        until("it ends", async || door.service.memory().is_none()).await;
        assert!(begun.elapsed() < ENDS_WITHIN, "{:?}", begun.elapsed());
    }
    stage.end().await;
}
