//! Which form a line has: the order in which forms are tried.

use super::{Recognised, json, level, syslog, time};
use record::{Level, Timestamp};
use std::borrow::Cow;

/// A time may stand behind so many words and bytes.
const WORDS_BEFORE: usize = 3;
const BYTES_BEFORE: usize = 96;
/// The date of an access log stands in the first bytes, after the addresses and the user.
const ACCESS_BYTES: usize = 512;

/// What the line says about itself. Never fails: a line of no known form is recognised as nothing.
///
/// `now` gives times without a year their year.
pub(crate) fn recognise(line: &str, now: Timestamp) -> Recognised<'_> {
    let text = line.trim_start();
    let indented = text.len() < line.len();
    let known = match text.as_bytes().first() {
        Some(b'{') => json::object(text, now),
        Some(b'<') => syslog::with_priority(text, now),
        Some(b'0'..=b'9') => numeric(text),
        Some(b'[') => bracketed(text),
        Some(b'A'..=b'Z') => syslog::bsd(text, now)
            .or_else(|| syslog::klog(text, now))
            .or_else(|| timed(text, 0, time::asctime(text.as_bytes())?)),
        _ => None,
    };
    // A line of a stack trace is indented, and a date within it is not its time.
    let known =
        known.or_else(|| (!indented).then(|| behind_words(text).or_else(|| access_log(text))).flatten());
    known.unwrap_or_else(|| Recognised { level: level::first_word(text), ..Recognised::default() })
}

/// A line with its time at `start`, and its level in the words after or before it.
fn timed(text: &str, start: usize, (timestamp, taken): (Timestamp, usize)) -> Option<Recognised<'_>> {
    let rest = text.get(start + taken..)?;
    if start == 0
        && let Some((host, program, level)) = syslog::with_process_id(rest)
    {
        let service = Some(Cow::Borrowed(program));
        return Some(Recognised { timestamp: Some(timestamp), level, service, host: Some(host), json: None });
    }
    let before = text.get(..start).unwrap_or("");
    let words = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || "])|,;\"".contains(c));
    let level = level::leading(before).or_else(|| level::leading(words));
    Some(Recognised { timestamp: Some(timestamp), level, ..Recognised::default() })
}

/// A line that begins with a digit.
fn numeric(text: &str) -> Option<Recognised<'_>> {
    let bytes = text.as_bytes();
    if let Some(found) = time::iso(bytes) {
        return timed(text, 0, found);
    }
    // Numbers that only look like a date are no time unless a level follows soon.
    if let Some(found) = time::hdfs(bytes).or_else(|| time::spark(bytes)) {
        return timed(text, 0, found).filter(|recognised| recognised.level.is_some());
    }
    timed(text, 0, time::epoch(bytes)?)
}

/// A line that begins with a time in brackets, such as of Apache's error log.
fn bracketed(text: &str) -> Option<Recognised<'_>> {
    let inner = text.as_bytes().get(1..)?;
    let (timestamp, taken) =
        time::asctime(inner).or_else(|| time::iso(inner)).or_else(|| time::epoch(inner))?;
    timed(text, 0, (timestamp, taken + 1))
}

/// A line with an ISO time behind a few words: file names, levels, `time="…"`.
fn behind_words(text: &str) -> Option<Recognised<'_>> {
    let bytes = text.as_bytes();
    let mut words = 0;
    for at in (1..bytes.len().min(BYTES_BEFORE)).filter(|at| text.is_char_boundary(*at)) {
        let (before, here) = (bytes[at - 1], bytes[at]);
        if before == b' ' && here != b' ' {
            words += 1;
            if words > WORDS_BEFORE {
                return None;
            }
        }
        let begins = match before {
            b' ' | b'\t' | b'[' | b'(' | b'|' => true,
            b'=' | b'"' => at == 1 || is_time_key(&text[..at]),
            _ => false,
        };
        if here.is_ascii_digit()
            && begins
            && let Some(found) = time::iso(&bytes[at..])
        {
            let mut recognised = timed(text, at, found)?;
            recognised.service = file_name_of_service(text).map(Cow::Borrowed);
            return Some(recognised);
        }
    }
    None
}

/// Whether the text ends in `time=`, `ts="` or the like.
fn is_time_key(before: &str) -> bool {
    let before = before.strip_suffix('"').unwrap_or(before);
    let Some(key) = before.strip_suffix('=') else { return false };
    let word = key.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(key);
    ["time", "ts", "timestamp", "t", "date", "datetime"].contains(&word)
}

/// `nova-api.log.1.2017-05-16_13:53:08 …`, as OpenStack's collected logs begin, is of the service `nova-api`.
fn file_name_of_service(text: &str) -> Option<&str> {
    let word = text.split(' ').next()?;
    let (name, _) = word.split_once(".log")?;
    let valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    valid.then_some(name)
}

/// `host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326 …`
fn access_log(text: &str) -> Option<Recognised<'_>> {
    let head = &text.as_bytes()[..text.len().min(ACCESS_BYTES)];
    let (start, (timestamp, taken)) =
        memchr::memchr_iter(b'[', head).find_map(|at| Some((at + 1, time::access(&head[at + 1..])?)))?;
    let level = http_status(text.get(start + taken..)?).map(level::of_http_status);
    Some(Recognised {
        timestamp: Some(timestamp),
        level: level.or(Some(Level::Info)),
        ..Recognised::default()
    })
}

/// The status after the quoted request line.
fn http_status(rest: &str) -> Option<u32> {
    let request = rest.split_once('"')?.1.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', request.get(at..)?)?;
        if request[at] == b'"' {
            break;
        }
        at += 2;
    }
    let mut cursor = time::Cursor::new(request.get(at + 1..)?);
    cursor.eat(b' ')?;
    let status = cursor.digits(3).filter(|status| (100..600).contains(status))?;
    cursor.peek().is_none_or(|next| next == b' ').then_some(status)
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
