//! Which traces are kept.

use crate::stage::{Stage, TURN, until};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::BTreeSet;

const REQUESTS: usize = 2_000;
/// A tenth of them, give or take six standard deviations.
const KEPT: std::ops::RangeInclusive<usize> = 120..=280;

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_traces_is_kept_and_each_of_them_whole() {
    let _turn = TURN.lock().await;
    let stage = Stage::set().await;
    let door = stage.open_door(&[("OTEL_TRACES_SAMPLER_ARG", "0.1")]).await;
    let clients = (0..8).map(|_| async {
        for _ in 0..REQUESTS / 8 {
            let answer = door.client.post("{\"message\":\"one of many\"}".into()).await;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    });
    futures::future::join_all(clients).await;
    // Who ends sends what is left.
    door.service.terminate();
    stage.system.producers[0].terminate();
    until("both have ended", async || {
        door.service.memory().is_none() && stage.system.producers[0].memory().is_none()
    })
    .await;
    let ids = |service: &str, kind| -> BTreeSet<Vec<u8>> {
        stage.receiver.of(service, kind).into_iter().map(|of| of.span.trace_id).collect()
    };
    let of_gateway = ids("logpipeline-gateway", SpanKind::Server);
    assert!(KEPT.contains(&of_gateway.len()), "{} of {REQUESTS}", of_gateway.len());
    for (service, kind) in [
        ("logpipeline-gateway", SpanKind::Client),
        ("logpipeline-producer", SpanKind::Server),
        ("logpipeline-producer", SpanKind::Producer),
    ] {
        assert_eq!(ids(service, kind), of_gateway, "{kind:?} of {service}");
    }
    // A transaction is told in no more traces than its bound, so not in all of these.
    until("the consumers tell of traces", async || {
        let stored = ids("logpipeline-consumer", SpanKind::Client);
        assert!(stored.is_subset(&of_gateway));
        !stored.is_empty()
    })
    .await;
    stage.end().await;
}
