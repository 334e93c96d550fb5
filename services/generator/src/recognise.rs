//! What a line of a log file says about itself: its time, its level, who wrote it.
//!
//! Pure and by hand, without regular expressions: one pass over the first bytes of a line. Known forms:
//!
//! | form | example |
//! |---|---|
//! | ISO 8601, RFC 3339, log4j, Python, nginx | `2015-10-18 18:01:47,978 INFO …`, `[2026-01-31T12:00:00+01:00] …` |
//! | the same behind up to three words | `nova-api.log 2017-05-16 00:00:00.008 25746 INFO …`, `time="2026-01-31T…" level=warn` |
//! | syslog, RFC 3164 and RFC 5424 | `Jun 14 15:16:01 host sshd[123]: …`, `<34>1 2003-10-11T22:14:15.003Z host su - …` |
//! | Apache error log, old and new | `[Sun Dec 04 04:47:44 2005] [error] …` |
//! | access logs, common and combined | `… [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326` |
//! | HDFS and Spark | `081109 203615 148 INFO …`, `17/06/09 20:10:40 INFO …` |
//! | klog and glog | `I0613 12:34:56.789012 1 main.go:12] …` |
//! | seconds or milliseconds since 1970 | `1763991600.123 …` |
//! | a JSON object | `{"ts":"…","level":"warn","msg":"…"}` |
//!
//! A time without an offset is UTC. A time without a year gets the latest year that puts it at most one day after
//! now: logs are from the past, and a host east of Greenwich that writes local time is up to 14 hours ahead.

mod json;
mod level;
mod line;
mod syslog;
mod time;

pub(crate) use json::JsonFields;
pub(crate) use line::recognise;

use record::{Level, Timestamp};
use std::borrow::Cow;

/// What one line says. What it does not say is `None`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recognised<'a> {
    /// The line's own time.
    pub(crate) timestamp: Option<Timestamp>,
    /// The line's own level.
    pub(crate) level: Option<Level>,
    /// The program or service that wrote it, where the form of the line names one.
    pub(crate) service: Option<Cow<'a, str>>,
    /// The host that syslog names.
    pub(crate) host: Option<&'a str>,
    /// The fields of a line that is a JSON object with a message.
    pub(crate) json: Option<JsonFields<'a>>,
}

/// What lines inherit from the lines before them.
///
/// A line without a time of its own, such as a line of a stack trace, has the time and the level of the last line
/// that had one; unless it says its own level. Before the first such line it is now and INFO.
#[derive(Debug)]
pub(crate) struct Context {
    now: Timestamp,
    last: (Timestamp, Level),
}

impl Context {
    /// `now` is when reading began.
    pub(crate) fn new(now: Timestamp) -> Context {
        Context { now, last: (now, Level::Info) }
    }

    /// Reads the next line: what it says, and the time and level that it has in the end.
    pub(crate) fn read<'a>(&mut self, text: &'a str) -> (Recognised<'a>, Timestamp, Level) {
        let recognised = recognise(text, self.now);
        let (timestamp, level) = match recognised.timestamp {
            Some(timestamp) => {
                self.last = (timestamp, recognised.level.unwrap_or(Level::Info));
                self.last
            }
            None => (self.last.0, recognised.level.unwrap_or(self.last.1)),
        };
        (recognised, timestamp, level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_trace_has_the_time_and_level_of_the_line_before() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let mut context = Context::new(now);
        let mut read = |text: &str| {
            let (_, timestamp, level) = context.read(text);
            (timestamp.to_string(), level)
        };
        assert_eq!(read("started"), (now.to_string(), Level::Info));
        let error = ("2026-01-31T12:00:00Z".to_owned(), Level::Error);
        assert_eq!(read("2026-01-31 12:00:00 ERROR [main] shop.Cart: failed"), error);
        assert_eq!(read("java.lang.IllegalStateException: stale"), error);
        assert_eq!(read("\tat shop.Cart.save(Cart.java:12)"), error);
        assert_eq!(read("WARN: this line has its own level").1, Level::Warn);
        assert_eq!(read("2026-01-31 12:00:01 a line without a level").1, Level::Info);
    }
}
