//! The whole system, and a receiver of its traces.

use crate::receiver::Receiver;
use fault_tests::{
    client::Client,
    load::http,
    parts::Shape,
    run::{System, free_ports},
    service::Service,
};
use std::time::{Duration, Instant};
use tokio::{sync::Mutex, time::sleep};

/// Held by the test that runs: they share the machine.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) system: System,
    pub(crate) receiver: Receiver,
}

/// A gateway, and a client of it.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) client: Client,
}

impl Stage {
    /// Producers and consumers send their traces by HTTP. They would sample every trace that begins with them.
    pub(crate) async fn set() -> Stage {
        let receiver = Receiver::start().await;
        let endpoint: &'static str = receiver.http.clone().leak();
        let services = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ];
        let shape = Shape { services: Box::leak(Box::new(services)), ..Shape::of(3) };
        Stage { system: System::start(shape).await.unwrap(), receiver }
    }

    /// A gateway that sends its traces by gRPC, with more settings.
    pub(crate) async fn door(&self, producer: &str, settings: &[(&str, &str)]) -> Door {
        let grpc = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.grpc.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        let port = free_ports(1).unwrap()[0];
        let settings = [&grpc[..], settings].concat();
        let service = Service::gateway(&self.system.parts, port, producer, &settings).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::new(&url, "acme");
        until("the gateway answers", async || http().get(format!("{url}/")).send().await.is_ok()).await;
        Door { service, client }
    }

    /// Waits until events are accepted at the door.
    pub(crate) async fn open_door(&self, settings: &[(&str, &str)]) -> Door {
        let door = self.door(&self.system.urls[0], settings).await;
        // Its trace is not sampled, whatever the share.
        let first = [("traceparent", "00-000000000000000000000000000000ff-00000000000000ff-00")];
        until("events are accepted", async || {
            door.client.post_with(&first, "{\"message\":\"first\"}".into()).await.status == 202
        })
        .await;
        door
    }

    /// Ends everything; after a test that found nothing wrong.
    pub(crate) async fn end(self) {
        let System { parts, producers, consumers, .. } = self.system;
        drop((producers, consumers));
        parts.end().await.unwrap();
    }
}

/// The metrics of a service.
pub(crate) async fn metrics(of: &Service) -> String {
    let url = format!("http://{}/metrics", of.admin().unwrap());
    String::from_utf8(http().get(url).send().await.unwrap().bytes().await.unwrap().to_vec()).unwrap()
}

/// The value of a series, by the text before it; 0 when it is not there.
pub(crate) async fn metric(of: &Service, series: &str) -> f64 {
    let metrics = metrics(of).await;
    let value =
        metrics.lines().find_map(|line| line.strip_prefix(series)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0.0)
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
