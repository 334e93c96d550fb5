//! What an answer means for the events of its request. Pure.

use serde::Deserialize;
use std::time::Duration;

/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Characters of an answer that are repeated to the person who runs the generator.
const SHOWN_CHARS: usize = 300;

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These events are refused, all others are accepted.
    Judged(Vec<Rejected>),
    /// Not now: these events are refused for good, all others may be sent again after a while.
    Busy { refused: Vec<Rejected>, retry_after: Option<Duration>, reason: String },
    /// Too many bytes or events at once.
    TooLarge(String),
    /// All events are refused.
    Refused(String),
    /// Nobody knows what became of the events: the same again may help.
    Broken(String),
    /// No other request will do better.
    Hopeless(String),
}

/// The verdict on an event that was not accepted.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Rejected {
    pub(crate) index: usize,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) retryable: bool,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: usize,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

/// Problem details, RFC 9457, with the verdicts when events were judged.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

/// Reads the answer to a request with so many events.
pub(crate) fn classify(status: u16, retry_after: Option<&str>, body: &[u8], events: usize) -> Answer {
    if (200..300).contains(&status) {
        return accepted(status, body, events);
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let detail =
        if problem.detail.is_empty() { String::from_utf8_lossy(body) } else { problem.detail.into() };
    let reason = format!("{status}: {}", shown(&detail));
    let judged = !problem.rejected.is_empty() && is_whole(&problem.rejected, events);
    match status {
        429 | 503 => {
            let refused = problem.rejected.into_iter().filter(|of| judged && !of.retryable).collect();
            Answer::Busy { refused, retry_after: retry_after.and_then(seconds), reason }
        }
        408 | 425 | 500.. => Answer::Broken(reason),
        400.. if judged && problem.rejected.len() == events => Answer::Judged(problem.rejected),
        413 => Answer::TooLarge(reason),
        401 => Answer::Hopeless(format!("the token is refused, {reason}")),
        403 => Answer::Hopeless(format!("the token may not send these events, {reason}")),
        404 | 405 => Answer::Hopeless(format!("there is no pipeline at this address, {reason}; check --to")),
        400.. => Answer::Refused(reason),
        _ => Answer::Hopeless(format!("the server answers {status} instead of taking events; check --to")),
    }
}

fn accepted(status: u16, body: &[u8], events: usize) -> Answer {
    match serde_json::from_slice::<Accepted>(body) {
        Ok(answer)
            if answer.accepted.checked_add(answer.rejected.len()) == Some(events)
                && is_whole(&answer.rejected, events) =>
        {
            Answer::Judged(answer.rejected)
        }
        Ok(answer) => Answer::Hopeless(format!(
            "the answer to {events} events says {} accepted and {} rejected, which is not all of them",
            answer.accepted,
            answer.rejected.len()
        )),
        Err(_) => Answer::Hopeless(format!(
            "the server answers {status}, but not as a pipeline does: {}; check --to",
            shown(&String::from_utf8_lossy(body))
        )),
    }
}

/// Whether the verdicts name events of the request, each once.
fn is_whole(rejected: &[Rejected], events: usize) -> bool {
    let mut seen = vec![false; if rejected.is_empty() { 0 } else { events }];
    rejected.iter().all(|of| seen.get_mut(of.index).is_some_and(|seen| !std::mem::replace(seen, true)))
}

/// `Retry-After` in seconds; its other form, a date, is not used by pipelines.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// One line of bounded length that does nothing to a terminal.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim().replace(char::is_control, " ");
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(index: usize, retryable: bool) -> Rejected {
        Rejected { index, reason: "r".into(), retryable }
    }

    #[test]
    fn answers_to_three_events() {
        let verdict = r#"[{"index":1,"reason":"r"}]"#;
        let mixed = r#"[{"index":0,"reason":"r"},{"index":2,"reason":"r","retryable":true}]"#;
        let all = r#"[{"index":0,"reason":"r"},{"index":1,"reason":"r"},{"index":2,"reason":"r"}]"#;
        let of_all = || Answer::Judged((0..3).map(|index| rejected(index, false)).collect());
        let busy = |refused, retry_after| Answer::Busy { refused, retry_after, reason: "503: d".into() };
        let problem = |rejected: &str| format!(r#"{{"detail":"d","rejected":{rejected}}}"#);
        for (status, retry_after, body, expected) in [
            (202, None, r#"{"accepted":3,"rejected":[]}"#.to_owned(), Answer::Judged(vec![])),
            (200, None, r#"{"accepted":3}"#.into(), Answer::Judged(vec![])),
            (
                202,
                None,
                format!(r#"{{"accepted":2,"rejected":{verdict}}}"#),
                Answer::Judged(vec![rejected(1, false)]),
            ),
            (202, None, format!(r#"{{"accepted":1,"rejected":{mixed}}}"#), {
                Answer::Judged(vec![rejected(0, false), rejected(2, true)])
            }),
            (400, None, problem(all), of_all()),
            (403, None, problem(all), of_all()),
            (400, None, problem("[]"), Answer::Refused("400: d".into())),
            (415, None, "no".into(), Answer::Refused("415: no".into())),
            (413, None, problem("[]"), Answer::TooLarge("413: d".into())),
            (503, Some("2"), problem("[]"), busy(vec![], Some(Duration::from_secs(2)))),
            (503, Some("soon"), problem(mixed), busy(vec![rejected(0, false)], None)),
            (503, Some("99999999999"), problem("[]"), busy(vec![], Some(LONGEST_WAIT))),
            (500, None, problem("[]"), Answer::Broken("500: d".into())),
            (408, None, problem("[]"), Answer::Broken("408: d".into())),
        ] {
            assert_eq!(classify(status, retry_after, body.as_bytes(), 3), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_will_not_get_better_ends_the_run() {
        for (status, body) in [
            (401, r#"{"detail":"d"}"#),
            (403, "{}"),
            (404, ""),
            (302, ""),
            (200, "<html>"),
            (202, r#"{"accepted":2}"#),
            (202, r#"{"accepted":18446744073709551615,"rejected":[{"index":1,"reason":""}]}"#),
            (202, r#"{"accepted":2,"rejected":[{"index":3,"reason":""}]}"#),
            (202, r#"{"accepted":1,"rejected":[{"index":1,"reason":""},{"index":1,"reason":""}]}"#),
        ] {
            let answer = classify(status, None, body.as_bytes(), 3);
            assert!(matches!(answer, Answer::Hopeless(_)), "{status} {body}: {answer:?}");
        }
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown(" a\n\x1b[2Jb "), "a  [2Jb");
        assert_eq!(shown(&"é".repeat(1_000)).chars().count(), SHOWN_CHARS + 1);
    }
}
