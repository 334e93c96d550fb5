//! A span: a piece of work of this process, as a part of a trace.

use crate::{Context, queue};
use std::{
    borrow::Cow,
    time::{Duration, Instant, SystemTime},
};

/// Which side of a conversation a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Sends a request and waits for its answer.
    Client,
    /// Writes messages.
    Producer,
    /// Works on messages.
    Consumer,
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that is being made. It ends when it is dropped, and is on its way to the receiver then.
#[derive(Debug)]
pub struct Span(Option<Box<Data>>);

/// A span that has ended.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only a receiver looks at it"))]
pub(crate) struct Data {
    pub(crate) context: Context,
    pub(crate) parent: Option<Context>,
    /// Whether the parent is of another process.
    pub(crate) parent_is_remote: bool,
    pub(crate) state: Option<Box<str>>,
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'static, str>,
    since: Instant,
    took: Option<Duration>,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) links: Vec<Context>,
    /// Links beyond those that are kept.
    pub(crate) links_left_out: usize,
    pub(crate) failed: bool,
}

impl Span {
    /// A part of a span of this process, from now on; `None` when its trace is not sampled, or without a tracer.
    #[must_use]
    pub fn within(parent: Context, kind: Kind) -> Option<Span> {
        (parent.is_sampled() && queue::sampler().is_some())
            .then(|| Span::new(parent.child(), Some(parent), false, kind, Instant::now()))
    }

    /// A follower of a span of another process that began at `since`; otherwise as [`Span::within`].
    #[must_use]
    pub fn after(parent: Context, kind: Kind, since: Instant) -> Option<Span> {
        (parent.is_sampled() && queue::sampler().is_some())
            .then(|| Span::new(parent.child(), Some(parent), true, kind, since))
    }

    /// A span that begins a trace, which is sampled because of what it is linked to, and began at `since`; `None` without
    /// a tracer.
    #[must_use]
    pub fn alone(kind: Kind, since: Instant) -> Option<Span> {
        queue::sampler().is_some().then(|| Span::new(Context::begin(|_| true), None, false, kind, since))
    }

    /// The span that was told to others as `context`.
    pub(crate) fn ended(context: Context, parent: Option<Context>, kind: Kind, since: Instant) -> Span {
        Span::new(context, parent, true, kind, since)
    }

    fn new(
        context: Context,
        parent: Option<Context>,
        parent_is_remote: bool,
        kind: Kind,
        since: Instant,
    ) -> Span {
        // Until it ends.
        let start = SystemTime::UNIX_EPOCH;
        Span(Some(Box::new(Data {
            context,
            parent,
            parent_is_remote,
            state: None,
            kind,
            name: Cow::Borrowed(""),
            since,
            took: None,
            start,
            end: start,
            attributes: Vec::with_capacity(8),
            links: Vec::new(),
            links_left_out: 0,
            failed: false,
        })))
    }

    pub(crate) fn with_state(mut self, state: Option<Box<str>>) -> Span {
        self.data().state = state;
        self
    }

    /// Names it: what kind of work it is, of which there are few.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Span {
        self.data().name = name.into();
        self
    }

    /// Says more of it, by the conventions' names: <https://opentelemetry.io/docs/specs/semconv/>.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.data().attributes.push((key, value.into()));
    }

    /// It failed; the kind of failure, of which there are few.
    pub fn fail(&mut self, error: impl Into<Value>) {
        self.data().failed = true;
        self.set("error.type", error);
    }

    /// Names spans of other traces that it has to do with; `left_out` more are not named.
    pub fn link(&mut self, contexts: &[Context], left_out: usize) {
        let data = self.data();
        data.links.extend_from_slice(contexts);
        data.links_left_out += left_out;
    }

    /// It took so long and not until now.
    pub fn took(&mut self, time: Duration) {
        self.data().took = Some(time);
    }

    /// What is told to who comes next.
    #[must_use]
    pub fn context(&self) -> Context {
        self.0.as_ref().expect("only the end takes it").context
    }

    fn data(&mut self) -> &mut Data {
        self.0.as_mut().expect("only the end takes it")
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut data) = self.0.take() {
            let (now, since) = (SystemTime::now(), data.since.elapsed());
            data.start = now.checked_sub(since).unwrap_or(now);
            data.end = data.start + data.took.unwrap_or(since);
            queue::push(*data);
        }
    }
}
