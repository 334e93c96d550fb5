//! `trace_id` and `span_id` in the lines that are logged for a request.

use std::fmt;
use trace::Context;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A format of text, with the ids at the end of the line.
pub(super) struct TextOfRequest<F>(pub(super) F);

/// A format of JSON objects, with the ids as their first members.
pub(super) struct JsonOfRequest<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for TextOfRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(request) = trace::current() else { return self.0.format_event(cx, to, event) };
        let line = line(&self.0, cx, event)?;
        let (trace_id, span_id) = ids(request);
        writeln!(to, "{} trace_id={trace_id} span_id={span_id}", line.trim_end())
    }
}

impl<S, N, F> FormatEvent<S, N> for JsonOfRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(request) = trace::current() else { return self.0.format_event(cx, to, event) };
        let line = line(&self.0, cx, event)?;
        let (trace_id, span_id) = ids(request);
        let members = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(to, "{{\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\",{members}")
    }
}

/// The line as it would be without the ids; never coloured.
fn line<S, N, F>(format: &F, cx: &FmtContext<'_, S, N>, event: &Event<'_>) -> Result<String, fmt::Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    let mut line = String::new();
    format.format_event(cx, Writer::new(&mut line), event)?;
    Ok(line)
}

fn ids(context: Context) -> (String, String) {
    (format!("{:032x}", context.trace_id()), format!("{:016x}", context.span_id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::{MakeWriter, format, layer};
    use tracing_subscriber::layer::SubscriberExt;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Lines;

        fn make_writer(&self) -> Lines {
            self.clone()
        }
    }

    fn log() {
        tracing::warn!(answer = 42, "of nobody");
        let _entered = trace::enter(Context::parse(PARENT));
        tracing::warn!(answer = 42, "of a request");
    }

    impl Lines {
        fn both(&self) -> [String; 2] {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.try_into().unwrap()
        }
    }

    #[test]
    fn text_has_the_ids_at_its_end() {
        let lines = Lines::default();
        let format = layer().with_writer(lines.clone()).event_format(TextOfRequest(format().compact()));
        let subscriber = tracing_subscriber::registry().with(format.with_ansi(false));
        tracing::subscriber::with_default(subscriber, log);
        let [of_nobody, of_a_request] = lines.both();
        assert!(of_nobody.ends_with("of nobody answer=42") && !of_nobody.contains("trace_id"), "{of_nobody}");
        let end = format!("of a request answer=42 trace_id={TRACE} span_id=00f067aa0ba902b7");
        assert!(of_a_request.ends_with(&end), "{of_a_request}");
    }

    #[test]
    fn json_has_the_ids_as_members() {
        let lines = Lines::default();
        let json = format().json().flatten_event(true);
        let format = layer().with_writer(lines.clone()).json().event_format(JsonOfRequest(json));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(format), log);
        let [of_nobody, of_a_request] =
            lines.both().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        assert_eq!((&of_nobody["answer"], of_nobody.get("trace_id")), (&42.into(), None));
        assert_eq!((&of_a_request["answer"], &of_a_request["message"]), (&42.into(), &"of a request".into()));
        assert_eq!(
            (&of_a_request["trace_id"], &of_a_request["span_id"]),
            (&TRACE.into(), &"00f067aa0ba902b7".into())
        );
    }
}
