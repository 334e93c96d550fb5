//! A request's trace, as its handler finds it.

use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use process::metrics::Metrics;
use process::service::around;

use crate::support::{Client, few, start};

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn tell(headers: HeaderMap) -> String {
    // Polled again, maybe by another thread.
    tokio::task::yield_now().await;
    let context = trace::current().map(|context| context.header());
    let text =
        |value: Option<&http::HeaderValue>| value.map_or("none", |value| value.to_str().unwrap()).to_owned();
    format!(
        "{} {} {}",
        text(context.as_ref()),
        text(headers.get("traceparent")),
        text(headers.get("tracestate"))
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_finds_the_context_that_came_and_nothing_that_is_wrong() {
    let metrics = Metrics::new("logpipeline");
    let app = Router::new().route("/", get(tell)).layer(around(&metrics)).merge(metrics.router());
    let server = start(few(), app);
    let mut client = Client::connect(server.addr).await;
    let bad = GOOD.to_uppercase();
    let all = format!("{GOOD} {GOOD} a=1");
    let without_state = format!("{GOOD} {GOOD} none");
    for (traceparent, tracestate, told) in [
        (GOOD, "a=1", all.as_str()),
        (bad.as_str(), "a=1", "none none none"),
        (GOOD, "=", without_state.as_str()),
    ] {
        let head = format!("traceparent: {traceparent}\r\ntracestate: {tracestate}");
        client.send(&format!("GET / HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n")).await;
        assert_eq!(client.answer().await.text(), told);
    }
    client.send("GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let answer = client.answer().await;
    let exemplar = "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"}";
    assert!(answer.text().contains(exemplar), "{}", answer.text());
}
