//! The task that sends what waits, in batches.

use super::{Config, Protocol, convert::span_data};
use crate::{
    queue::{self, Queue, Reason},
    span::Data,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector},
    trace::SpanExporter as _,
};
use resilience::Backoff;
use std::time::Duration;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often the queue is looked at, unless it fills up.
const EVERY: Duration = Duration::from_secs(1);
/// Longest time for one batch, with the tries of the exporter.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// Waits before a receiver that took nothing is tried again, the first and the longest.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long the end of the process waits for the last spans.
const FLUSHED_WITHIN: Duration = Duration::from_secs(3);

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The exporter cannot be made.
    #[error("traces cannot be sent to {endpoint}: {why}")]
    Exporter {
        /// The receiver.
        endpoint: Url,
        /// What is wrong.
        why: String,
    },
    /// There is another already.
    #[error("traces are already sent by this process")]
    AlreadyStarted,
}

/// Sends the spans of this process, until it is ended.
#[derive(Debug)]
pub struct Exporting {
    queue: &'static Queue,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Makes spans from now on and sends them, when it is said where. Needs a runtime.
///
/// # Errors
/// [`StartError`].
pub fn start(
    config: Config,
    name: &'static str,
    version: &'static str,
) -> Result<Option<Exporting>, StartError> {
    let Some(endpoint) = config.endpoint.clone() else { return Ok(None) };
    let wrong = |why: &dyn std::fmt::Display| StartError::Exporter {
        endpoint: endpoint.clone(),
        why: why.to_string(),
    };
    let mut exporter = match config.protocol {
        Protocol::Grpc => by_grpc(&config, &endpoint).map_err(|error| wrong(&error))?,
        Protocol::HttpProtobuf => {
            let client = http_client().map_err(|error| wrong(&error))?;
            by_http(&config, &endpoint, client).map_err(|error| wrong(&error))?
        }
    };
    exporter.set_resource(&resource(config.service_name, name, version));
    let queue = queue::open(config.ratio).ok_or(StartError::AlreadyStarted)?;
    let stop = CancellationToken::new();
    let sending = Sending {
        exporter,
        scope: InstrumentationScope::builder(name).with_version(version).build(),
        receiver: endpoint.host_str().unwrap_or_default().to_owned(),
        failing: false,
    };
    let task = tokio::spawn(run(queue, sending, stop.clone()));
    tracing::info!(receiver = endpoint.host_str(), "sending traces");
    Ok(Some(Exporting { queue, stop, task }))
}

impl Exporting {
    /// Sends what is left, within a few seconds.
    pub async fn end(self) {
        self.stop.cancel();
        let (queue, mut task) = (self.queue, self.task);
        if tokio::time::timeout(FLUSHED_WITHIN, &mut task).await.is_err() {
            task.abort();
        }
        match queue.waiting() {
            0 => {}
            spans => tracing::warn!(spans, "the receiver of traces did not take the last spans in time"),
        }
    }
}

async fn run(queue: &Queue, mut sending: Sending, stop: CancellationToken) {
    let mut backoff = Backoff::new(TRY_AGAIN.0, TRY_AGAIN.1);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = queue.many.notified() => {}
            () = sleep(EVERY) => {}
        }
        match sending.send_all(queue).await {
            Ok(()) => backoff.reset(),
            // Meanwhile the queue fills, and what does not fit costs nothing.
            Err(NotTaken) => tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(backoff.next(rand::random())) => {}
            },
        }
    }
}

struct Sending {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    receiver: String,
    failing: bool,
}

/// The receiver did not take a batch.
struct NotTaken;

impl Sending {
    async fn send_all(&mut self, queue: &Queue) -> Result<(), NotTaken> {
        loop {
            let batch = queue.take();
            if batch.is_empty() {
                return Ok(());
            }
            let spans = batch.len();
            match self.send(batch).await {
                Ok(()) => queue::exported(spans),
                Err(error) => {
                    queue::dropped(Reason::Refused, spans);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, receiver = self.receiver, "the receiver of traces does not take them; they are dropped");
                    }
                    return Err(NotTaken);
                }
            }
            if std::mem::take(&mut self.failing) {
                tracing::info!(receiver = self.receiver, "the receiver of traces takes them again");
            }
        }
    }

    async fn send(&self, batch: Vec<Data>) -> OTelSdkResult {
        let batch = batch.into_iter().map(|span| span_data(span, &self.scope)).collect();
        self.exporter.export(batch).await
    }
}

fn by_grpc(config: &Config, endpoint: &Url) -> Result<SpanExporter, ExporterBuildError> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in &config.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(SENT_WITHIN)
        .with_metadata(MetadataMap::from_headers(headers));
    if endpoint.scheme() == "https" {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
    }
    builder.build()
}

fn by_http(
    config: &Config,
    endpoint: &Url,
    client: reqwest::Client,
) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_http_client(client)
        // A path that a gateway before the receiver has stays before the receiver's own.
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
        .with_timeout(SENT_WITHIN)
        .with_headers(config.headers.clone())
        .build()
}

fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // Fails when the process has one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(SENT_WITHIN).build()
}

/// Who sends: <https://opentelemetry.io/docs/specs/semconv/resource/service/>. `OTEL_RESOURCE_ATTRIBUTES` may say otherwise.
fn resource(service_name: Option<String>, name: &'static str, version: &'static str) -> Resource {
    let instance = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let detectors: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", name),
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detectors(&detectors);
    match service_name {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}
