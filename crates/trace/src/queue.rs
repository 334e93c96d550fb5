//! Spans on their way to the receiver: bounded, and never waited for.

use crate::{Ratio, span::Data};
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
};
use tokio::sync::Notify;

/// Spans that wait at most; more are dropped. Each has less than a kilobyte.
const WAITING: usize = 8192;
/// So many are worth a message at once.
pub(crate) const BATCH: usize = 512;

static QUEUE: OnceLock<Queue> = OnceLock::new();
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// Taken by the look of the exporter, every now and then: waking it for each span would cost more than the span.
#[derive(Debug)]
pub(crate) struct Queue {
    ratio: Ratio,
    spans: Mutex<VecDeque<Data>>,
    pub(crate) many: Notify,
}

#[derive(Default)]
struct Metrics {
    exported: Counter,
    dropped: Family<Reason, Counter>,
}

/// Why a span did not reach the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Too many wait.
    Full,
    /// The receiver did not take it.
    Refused,
}

impl EncodeLabelSet for Reason {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), fmt::Error> {
        let reason = match self {
            Reason::Full => "full",
            Reason::Refused => "refused",
        };
        ("reason", reason).encode(encoder.encode_label())
    }
}

/// Shows what became of the spans of this process.
pub fn register(registry: &mut Registry) {
    registry.register(
        "traces_spans_exported",
        "Spans that the receiver of traces has taken",
        METRICS.exported.clone(),
    );
    registry.register(
        "traces_spans_dropped",
        "Spans that did not reach the receiver of traces, by reason: full (too many waited) or refused",
        METRICS.dropped.clone(),
    );
    for reason in [Reason::Full, Reason::Refused] {
        drop(METRICS.dropped.get_or_create(&reason));
    }
}

/// From now on spans are made; `None` when they are already.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody would take them"))]
pub(crate) fn open(ratio: Ratio) -> Option<&'static Queue> {
    let queue = Queue { ratio, spans: Mutex::default(), many: Notify::new() };
    QUEUE.set(queue).ok()?;
    QUEUE.get()
}

/// Which traces are sampled; `None` without a tracer.
pub(crate) fn sampler() -> Option<Ratio> {
    QUEUE.get().map(|queue| queue.ratio)
}

pub(crate) fn push(span: Data) {
    let Some(queue) = QUEUE.get() else { return };
    let mut spans = queue.spans.lock().unwrap_or_else(PoisonError::into_inner);
    if spans.len() >= WAITING {
        drop(spans);
        return dropped(Reason::Full, 1);
    }
    spans.push_back(span);
    let is_batch = spans.len() == BATCH;
    drop(spans);
    if is_batch {
        queue.many.notify_one();
    }
}

#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody takes them"))]
impl Queue {
    /// Takes the oldest, at most a batch.
    pub(crate) fn take(&self) -> Vec<Data> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let count = spans.len().min(BATCH);
        spans.drain(..count).collect()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody takes them"))]
pub(crate) fn exported(spans: usize) {
    METRICS.exported.inc_by(spans as u64);
}

pub(crate) fn dropped(reason: Reason, spans: usize) {
    METRICS.dropped.get_or_create(&reason).inc_by(spans as u64);
}
