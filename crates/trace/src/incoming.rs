//! The trace of a request that comes in.

use crate::{Context, Kind, Span, TRACEPARENT, TRACESTATE, queue, state};
use http::HeaderMap;
use std::time::Instant;

/// Which trace a request belongs to. Its span is made at its end, because only then is it known whether it is kept:
/// one that is not sampled costs no more than this value.
#[derive(Debug)]
pub struct Incoming {
    context: Context,
    parent: Option<Context>,
    state: Option<Box<str>>,
}

impl Incoming {
    /// Reads the headers of a request, and takes out of them what is not as the standard says, so that it is not passed
    /// on. Without a parent the request begins a trace, when this process has a tracer; `None` when it has none.
    #[must_use]
    pub fn accept(headers: &mut HeaderMap) -> Option<Incoming> {
        let parent = parent(headers);
        if parent.is_none() {
            headers.remove(TRACEPARENT);
            headers.remove(TRACESTATE);
        } else if headers.contains_key(TRACESTATE) && !state::is_good(headers.get_all(TRACESTATE).iter()) {
            headers.remove(TRACESTATE);
        }
        let context = match (queue::sampler(), parent) {
            (Some(_), Some(parent)) => parent.child(),
            (Some(ratio), None) => Context::begin(|id| ratio.samples(id)),
            // Nobody would hear of a span between.
            (None, parent) => return parent.map(|context| Incoming { context, parent: None, state: None }),
        };
        let state = if context.is_sampled() { state_text(headers) } else { None };
        Some(Incoming { context, parent, state })
    }

    /// What is told to who comes next.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// The span of the request, which began at `since` and ends now: when its trace is sampled, or when the request
    /// `failed`. A failure is worth to be kept alone; what was passed on already stays not sampled.
    #[must_use]
    pub fn end(&self, since: Instant, failed: bool) -> Option<Span> {
        let kept = queue::sampler().is_some() && (self.context.is_sampled() || failed);
        kept.then(|| {
            Span::ended(self.context, self.parent, Kind::Server, since).with_state(self.state.clone())
        })
    }
}

/// Two headers are none: nobody knows which of them is meant.
fn parent(headers: &HeaderMap) -> Option<Context> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    Context::parse(only.as_bytes())
}

fn state_text(headers: &HeaderMap) -> Option<Box<str>> {
    let values: Vec<&str> =
        headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(",").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    /// No tracer is installed in these tests.
    #[test]
    fn without_a_tracer_a_context_is_passed_on_as_it_is() {
        let mut good = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1")]);
        let incoming = Incoming::accept(&mut good).unwrap();
        assert_eq!(incoming.context().header(), PARENT);
        assert!(incoming.end(Instant::now(), true).is_none());
        assert_eq!(good.len(), 2);
        assert!(Incoming::accept(&mut headers(&[])).is_none());
    }

    #[test]
    fn what_is_wrong_is_not_passed_on() {
        let state = (TRACESTATE, "a=1");
        for wrong in [
            &[(TRACEPARENT, "00-1"), state.clone()][..],
            &[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT), state.clone()],
            &[state],
        ] {
            let mut headers = headers(wrong);
            assert!(Incoming::accept(&mut headers).is_none());
            assert!(headers.is_empty(), "{headers:?}");
        }
        let mut only_the_state = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "a=2")]);
        assert!(Incoming::accept(&mut only_the_state).is_some());
        assert_eq!(only_the_state.len(), 1);
    }
}
