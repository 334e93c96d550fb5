//! The span of appending a request's events, by the conventions for messaging:
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>.

use bytes::Bytes;
use record::headers::TRACEPARENT;
use topic::{AppendError, Failure, Header};
use trace::{Context, Kind, Span};

/// What of a request's trace goes on with its events.
pub(crate) struct Sending {
    span: Option<Span>,
    context: Option<Context>,
}

impl Sending {
    /// Of the request that is being worked for. The span's time begins now.
    pub(crate) fn begin(topic: &str) -> Sending {
        let request = trace::current();
        let mut span = request
            .and_then(|request| Span::within(request, Kind::Producer))
            .map(|span| span.named(format!("send {topic}")));
        if let Some(span) = &mut span {
            // Only the program has a tracer, and that stands on Kafka.
            span.set("messaging.system", "kafka");
            span.set("messaging.operation.name", "send");
            span.set("messaging.operation.type", "send");
            span.set("messaging.destination.name", topic.to_owned());
        }
        let context = span.as_ref().map(Span::context).or(request);
        Sending { span, context }
    }

    /// Headers for each of the records. A trace that is not sampled ends here: nobody would look for it, and a header on
    /// every record is not for nothing.
    pub(crate) fn headers(&self) -> Vec<Header> {
        let sampled = self.context.filter(|context| context.is_sampled());
        let header = |context: Context| (TRACEPARENT.to_owned(), Bytes::copy_from_slice(&context.encode()));
        sampled.map(header).into_iter().collect()
    }

    /// What became of so many records.
    pub(crate) fn end(&mut self, records: usize, failures: &[Failure]) {
        let Some(span) = &mut self.span else { return };
        span.set("messaging.batch.message_count", records);
        if let Some(Failure { error, .. }) = failures.first() {
            span.fail(match error {
                AppendError::QueueFull { .. } => "queue_full",
                AppendError::TopicFull { .. } => "topic_full",
                AppendError::Unavailable(_) => "unavailable",
                AppendError::TooLarge { .. } => "too_large",
            });
        }
        self.span = None;
    }
}
