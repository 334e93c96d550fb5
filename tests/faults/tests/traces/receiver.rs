//! A receiver of traces: takes OTLP by gRPC and by HTTP, and keeps what comes.

use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::sleep};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};

/// Longest time until a span is here: batches are sent every second.
const WITHIN: Duration = Duration::from_secs(30);

/// A running receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Where it takes gRPC.
    pub(crate) grpc: String,
    /// Where it takes protobuf by HTTP.
    pub(crate) http: String,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A span, and who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    resource: Vec<KeyValue>,
    /// How it came.
    pub(crate) by: &'static str,
    pub(crate) span: Span,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        let (grpc, http) = (bind().await, bind().await);
        let receiver = Receiver { grpc: url(&grpc), http: url(&http), received: Arc::default() };
        let service = TraceServiceServer::new(receiver.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(grpc)));
        let takes = receiver.clone();
        let router = Router::new().route(
            "/v1/traces",
            post(move |body: Bytes| async move {
                takes.keep("http/protobuf", ExportTraceServiceRequest::decode(body).unwrap());
                ExportTraceServiceResponse::default().encode_to_vec()
            }),
        );
        tokio::spawn(async move { axum::serve(http, router).await });
        receiver
    }

    fn keep(&self, by: &'static str, request: ExportTraceServiceRequest) {
        let mut received = self.received.lock().unwrap();
        for of in request.resource_spans {
            let resource = of.resource.unwrap_or_default().attributes;
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            received.extend(spans.map(|span| Received { resource: resource.clone(), by, span }));
        }
    }

    /// All spans that came so far.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The spans of a kind that a service has sent so far.
    pub(crate) fn of(&self, service: &str, kind: SpanKind) -> Vec<Received> {
        let mut all = self.all();
        all.retain(|of| of.service() == service && of.span.kind() == kind);
        all
    }

    /// Waits for a span of a service that is such; `what` it is.
    pub(crate) async fn find(&self, what: &str, service: &str, is: impl Fn(&Span) -> bool) -> Received {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.all().into_iter().find(|of| of.service() == service && is(&of.span)) {
                return found;
            }
            assert!(begun.elapsed() < WITHIN, "not within {WITHIN:?}: {what}; there are {:#?}", self.names());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn names(&self) -> Vec<String> {
        self.all().iter().map(|of| format!("{}: {}", of.service(), of.span.name)).collect()
    }
}

impl Received {
    pub(crate) fn service(&self) -> String {
        self.resource("service.name")
    }

    /// An attribute of who sent it, as text.
    pub(crate) fn resource(&self, key: &str) -> String {
        text(&self.resource, key)
    }

    /// An attribute of the span, as text; empty without.
    pub(crate) fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }

    pub(crate) fn took(&self) -> Duration {
        Duration::from_nanos(
            self.span.end_time_unix_nano.checked_sub(self.span.start_time_unix_nano).unwrap(),
        )
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|of| of.key == key).and_then(|of| of.value.clone()?.value);
    match found {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

#[async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep("grpc", request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}
