//! What a transaction tells of the traces that its records belong to, by the conventions for messaging:
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>.
//!
//! One transaction stores records of many requests, so its span is a part of none of their traces: it is linked to them. To
//! be seen in a trace from the client on, it is told there as well, as a span that is linked to the transaction's.

use crate::batch::Segment;
use record::headers::TRACEPARENT;
use std::time::{Duration, Instant};
use trace::{Context, Exemplar, Kind, Span};

/// Spans that one transaction is linked to at most: as many as the SDKs of OpenTelemetry allow.
const LINKS: usize = 128;
/// Traces that one transaction is told in at most.
const TOLD_IN: usize = 32;

/// The sampled traces of a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Each span once: records of a request have one.
    contexts: Vec<Context>,
    /// Records of spans that are not among them.
    left_out: usize,
    records: usize,
}

impl Traces {
    /// Looks at the end of each record's header first: most are of traces that are not sampled, or have none.
    pub(crate) fn of(segment: &Segment) -> Traces {
        let mut traces = Traces { records: segment.items.len(), ..Traces::default() };
        let mut last: &[u8] = &[];
        for record in segment.items.iter().filter_map(|item| item.record.as_ref()) {
            let header = record.headers.iter().find(|(name, _)| name == TRACEPARENT);
            let Some((_, text)) = header.filter(|(_, text)| Context::claims_to_be_sampled(text)) else {
                continue;
            };
            // Records of one request mostly follow each other.
            if **text != *last {
                last = text;
                traces.add(text);
            }
        }
        traces
    }

    fn add(&mut self, text: &[u8]) {
        let Some(context) = Context::parse(text).filter(|context| context.is_sampled()) else { return };
        if self.contexts.contains(&context) {
            return;
        }
        if self.contexts.len() < LINKS {
            self.contexts.push(context);
        } else {
            self.left_out += 1;
        }
    }

    /// An example of what the transaction took.
    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        self.contexts.first().copied().and_then(Exemplar::of)
    }

    /// The records were `taken` up by the worker, and stored by a transaction that `begun` and `took` so long.
    pub(crate) fn tell(self, topic: &str, partition: i32, taken: Instant, begun: Instant, took: Duration) {
        if self.contexts.is_empty() {
            return;
        }
        let Some(batch) = Span::alone(Kind::Consumer, taken) else { return };
        let mut batch = batch.named(format!("process {topic}"));
        // Only the program has a tracer, and that stands on Kafka and PostgreSQL.
        batch.set("messaging.system", "kafka");
        batch.set("messaging.operation.name", "process");
        batch.set("messaging.operation.type", "process");
        batch.set("messaging.destination.name", topic.to_owned());
        batch.set("messaging.destination.partition.id", partition.to_string());
        batch.set("messaging.batch.message_count", self.records);
        batch.link(&self.contexts, self.left_out);
        for (told, context) in one_a_trace(&self.contexts).enumerate() {
            if told == TOLD_IN {
                break;
            }
            let Some(store) = Span::after(context, Kind::Client, begun) else { break };
            let mut store = store.named("store");
            store.set("db.system.name", "postgresql");
            store.set("db.operation.name", "COPY");
            store.set("db.collection.name", "logs");
            store.set("db.operation.batch.size", self.records);
            store.took(took);
            store.link(&[batch.context()], 0);
        }
    }
}

/// The first context of each trace.
fn one_a_trace(contexts: &[Context]) -> impl Iterator<Item = Context> {
    contexts.iter().enumerate().filter_map(|(at, context)| {
        let told = contexts[..at].iter().any(|before| before.trace_id() == context.trace_id());
        (!told).then_some(*context)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Item;

    fn segment(headers: &[&str]) -> Segment {
        let record = |text: &&str| topic::Record {
            offset: 0,
            timestamp_ms: 0,
            key: "acme".into(),
            payload: "{}".into(),
            headers: match *text {
                "" => Vec::new(),
                text => {
                    vec![("other".to_owned(), "1".into()), (TRACEPARENT.to_owned(), text.to_owned().into())]
                }
            },
        };
        let item = |text| Item { lost: 0, skipped: 0, record: Some(record(text)) };
        Segment { expected: 0, items: headers.iter().map(item).collect(), refused: None }
    }

    fn context(trace: u32, span: u32, flags: &str) -> String {
        format!("00-{trace:032x}-{span:016x}-{flags}")
    }

    #[test]
    fn sampled_spans_count_once_each_and_nothing_else_does() {
        let (first, second, other) = (context(1, 1, "01"), context(1, 2, "03"), context(2, 3, "01"));
        let (not_sampled, wrong) = (context(3, 4, "02"), context(0, 5, "01"));
        let traces =
            Traces::of(&segment(&[&first, &first, "", &not_sampled, &second, &wrong, "01", &other, &first]));
        assert_eq!(traces.contexts.iter().map(|of| of.span_id()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((traces.records, traces.left_out), (9, 0));
        assert_eq!(one_a_trace(&traces.contexts).map(|of| of.span_id()).collect::<Vec<_>>(), [1, 3]);
        assert!(traces.exemplar().is_some());
    }

    #[test]
    fn links_are_bounded_and_what_is_left_out_is_counted() {
        let headers: Vec<String> = (1..=200).map(|span| context(span, span, "01")).collect();
        let traces = Traces::of(&segment(&headers.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!((traces.contexts.len(), traces.left_out), (LINKS, 200 - LINKS));
    }
}
