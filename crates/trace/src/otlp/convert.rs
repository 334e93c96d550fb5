//! Our spans as the exporter takes them.

use crate::{Context, Kind, Value, span::Data};
use opentelemetry::{
    InstrumentationScope, KeyValue, StringValue,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

pub(super) fn span_data(span: Data, scope: &InstrumentationScope) -> SpanData {
    let state = span.state.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
    let mut links = SpanLinks::default();
    links.links =
        span.links.iter().map(|to| Link::new(context(*to, true, TraceState::NONE), Vec::new(), 0)).collect();
    links.dropped_count = u32::try_from(span.links_left_out).unwrap_or(u32::MAX);
    SpanData {
        span_context: context(span.context, false, state),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id())),
        parent_span_is_remote: span.parent.is_some() && span.parent_is_remote,
        span_kind: kind(span.kind),
        name: span.name,
        start_time: span.start,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(|(key, of)| KeyValue::new(key, value(of))).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn context(of: Context, is_remote: bool, state: TraceState) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(of.trace_id()), SpanId::from(of.span_id()));
    SpanContext::new(trace_id, span_id, TraceFlags::new(of.flags()), is_remote, state)
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn value(value: Value) -> opentelemetry::Value {
    match value {
        Value::Text(text) => opentelemetry::Value::String(StringValue::from(text)),
        Value::Number(number) => opentelemetry::Value::I64(number),
    }
}
