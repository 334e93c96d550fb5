//! One trace through all four processes.

use crate::{
    receiver::Received,
    stage::{Stage, TURN, metrics, until},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_gateways_request_to_the_stores_transaction() {
    let _turn = TURN.lock().await;
    let stage = Stage::set().await;
    // What the client asks for counts, not the share.
    let door = stage.open_door(&[("OTEL_TRACES_SAMPLER_ARG", "0"), ("OTEL_SERVICE_NAME", "door")]).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", traceparent.as_str()), ("tracestate", "rojo=1,congo=t61")];
    let answer = door.client.post_with(&headers, "{\"message\":\"a\"}\n{\"message\":\"b\"}".into()).await;
    assert_eq!(answer.status, 202, "{answer:?}");

    let find = async |service: &str, kind: SpanKind| {
        let what = format!("{kind:?} of {service}");
        stage.receiver.find(&what, service, |span| span.kind() == kind && hex(&span.trace_id) == TRACE).await
    };
    let request = find("door", SpanKind::Server).await;
    let call = find("door", SpanKind::Client).await;
    let received = find("logpipeline-producer", SpanKind::Server).await;
    let send = find("logpipeline-producer", SpanKind::Producer).await;
    let store = find("logpipeline-consumer", SpanKind::Client).await;
    let linked_to_send = |links: &[opentelemetry_proto::tonic::trace::v1::span::Link]| {
        links.iter().any(|link| link.trace_id == send.span.trace_id && link.span_id == send.span.span_id)
    };
    let process = stage
        .receiver
        .find("the transaction", "logpipeline-consumer", |span| {
            span.kind() == SpanKind::Consumer && linked_to_send(&span.links)
        })
        .await;

    assert_eq!(hex(&request.span.parent_span_id), PARENT);
    for (child, parent) in [(&call, &request), (&received, &call), (&send, &received), (&store, &send)] {
        assert_eq!(child.span.parent_span_id, parent.span.span_id, "{child:#?} is no child of {parent:#?}");
        assert!(
            child.span.start_time_unix_nano >= parent.span.start_time_unix_nano,
            "{child:#?} {parent:#?}"
        );
        assert_eq!(child.span.flags & 1, 1);
    }
    for (within, whole) in [(&call, &request), (&received, &call), (&send, &received)] {
        assert!(within.took() <= whole.took(), "{within:#?} {whole:#?}");
    }
    assert!(process.span.parent_span_id.is_empty() && hex(&process.span.trace_id) != TRACE);
    assert_eq!((store.span.links.len(), &store.span.links[0].span_id), (1, &process.span.span_id));
    assert_eq!(request.span.trace_state, "rojo=1,congo=t61");
    // Each once, although two records told of it.
    assert_eq!(process.span.links.len(), 1);

    they_say_what_they_are(&stage, &request, &call, &send, &store, &process);
    assert_eq!(
        (request.by, call.by, received.by, store.by),
        ("grpc", "grpc", "http/protobuf", "http/protobuf")
    );
    let mut instances = [&request, &received, &store].map(|of| of.resource("service.instance.id"));
    instances.sort();
    assert!(!instances[0].is_empty() && instances[0] != instances[1] && instances[1] != instances[2]);

    let exemplar = format!("# {{trace_id=\"{TRACE}\"}}");
    let shows = |text: String, metric: &str| {
        text.lines().any(|line| line.starts_with(&format!("{metric}_bucket")) && line.contains(&exemplar))
    };
    assert!(shows(metrics(&door.service).await, "http_server_request_duration_seconds"));
    let producer = &stage.system.producers[0];
    assert!(shows(metrics(producer).await, "logpipeline_producer_append_duration_seconds"));
    until("the flush has an exemplar", async || {
        let mut shown = false;
        for consumer in &stage.system.consumers {
            shown |= shows(metrics(consumer).await, "logpipeline_consumer_flush_duration_seconds");
        }
        shown
    })
    .await;
    stage.end().await;
}

fn they_say_what_they_are(
    stage: &Stage,
    request: &Received,
    call: &Received,
    send: &Received,
    store: &Received,
    process: &Received,
) {
    let topic = stage.system.parts.topic();
    assert_eq!(request.span.name, "POST /api/v1/logs");
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("http.route"), "/api/v1/logs");
    assert_eq!(request.attribute("url.path"), "/api/v1/logs");
    assert_eq!(request.attribute("http.response.status_code"), "202");
    assert_eq!(request.resource("deployment.environment.name"), "test");
    assert!(!request.resource("service.version").is_empty());
    assert_eq!(
        (call.span.name.as_str(), call.attribute("http.response.status_code").as_str()),
        ("POST", "202")
    );
    assert!(stage.system.urls[0].ends_with(&call.attribute("server.port")));
    assert_eq!(send.span.name, format!("send {topic}"));
    assert_eq!(send.attribute("messaging.system"), "kafka");
    assert_eq!(send.attribute("messaging.destination.name"), topic);
    assert_eq!(send.attribute("messaging.batch.message_count"), "2");
    assert_eq!(
        (store.span.name.as_str(), store.attribute("db.system.name").as_str()),
        ("store", "postgresql")
    );
    assert_eq!(process.span.name, format!("process {topic}"));
    assert_eq!(process.attribute("messaging.operation.type"), "process");
    assert!(process.attribute("messaging.destination.partition.id").parse::<i32>().unwrap() >= 0);
    assert!(process.attribute("messaging.batch.message_count").parse::<i32>().unwrap() >= 2);
}
