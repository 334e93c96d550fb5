//! The header of a syslog line: priority, host, program.

use super::{
    Recognised, level,
    time::{self, Cursor},
};
use record::{Level, Timestamp};
use std::borrow::Cow;

/// A line that begins with `<PRI>`: RFC 5424 when the version 1 follows, RFC 3164 otherwise.
pub(super) fn with_priority(line: &str, now: Timestamp) -> Option<Recognised<'_>> {
    let end = line.as_bytes().iter().take(5).position(|byte| *byte == b'>')?;
    let priority: u32 = line[1..end].parse().ok().filter(|priority| *priority < 192)?;
    let level = level::of_syslog_severity(priority % 8);
    let rest = &line[end + 1..];
    let mut recognised = match rest.strip_prefix("1 ") {
        Some(fields) => rfc_5424(fields),
        None => bsd(rest, now).unwrap_or_default(),
    };
    recognised.level = Some(level);
    Some(recognised)
}

/// `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID …` (RFC 5424, section 6); `-` is nothing.
fn rfc_5424(fields: &str) -> Recognised<'_> {
    let mut words = fields.split(' ').map(|word| (word != "-" && !word.is_empty()).then_some(word));
    let mut next = || words.next().flatten();
    let timestamp = next().and_then(|word| time::iso(word.as_bytes())).map(|(time, _)| time);
    let (host, service) = (next(), next().map(Cow::Borrowed));
    Recognised { timestamp, host, service, ..Recognised::default() }
}

/// `Jun 14 15:16:01 host program(module)[123]: text` (RFC 3164), as files hold it: without priority.
pub(super) fn bsd(line: &str, now: Timestamp) -> Option<Recognised<'_>> {
    let (timestamp, taken) = time::syslog(line.as_bytes(), now).or_else(|| time::iso(line.as_bytes()))?;
    let rest = line.get(taken..)?.strip_prefix(' ')?;
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    // Written on the host itself there may be no host.
    let (host, tagged) = if first.ends_with(':') { (None, rest) } else { (Some(first), after) };
    let (service, text) = match tag(tagged) {
        Some((program, text)) => (Some(Cow::Borrowed(program)), text),
        None => (None, tagged),
    };
    Some(Recognised { timestamp: Some(timestamp), level: level::first_word(text), service, host, json: None })
}

/// Syslog whose time is ISO 8601, as rsyslog writes: only `host program[123]: text` is sure enough to be that.
pub(super) fn with_process_id(rest: &str) -> Option<(&str, &str, Option<Level>)> {
    let (host, tagged) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (program, text) = tag(tagged)?;
    let numbered = tagged[..tagged.len() - text.len()].trim_end().ends_with("]:");
    let is_host = host.bytes().next()?.is_ascii_alphanumeric() && level::named(host).is_none();
    (numbered && is_host).then(|| (host, program, level::first_word(text)))
}

/// The program's name and the text after `program:`, `program[123]:` or `program(module)[123]:`.
fn tag(text: &str) -> Option<(&str, &str)> {
    const LONGEST_TAG: usize = 64;
    let end = text.bytes().take(LONGEST_TAG).position(|byte| byte == b' ').unwrap_or(text.len());
    let word = text.get(..end)?;
    let word = word.strip_suffix(':').or_else(|| word.ends_with(']').then_some(word))?;
    let name = word.split('[').next()?;
    // `(systemd)` is a name in parentheses, `sshd(pam_unix)` a name and its module.
    let name = match name.strip_prefix('(') {
        Some(inner) => inner.trim_end_matches(')'),
        None => name.split('(').next()?,
    };
    let valid = !name.is_empty()
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./@+".contains(&byte));
    valid.then(|| (name, text[end..].trim_start()))
}

/// `I0613 12:34:56.789012       1 main.go:12] text`: klog and glog.
pub(super) fn klog(line: &str, now: Timestamp) -> Option<Recognised<'_>> {
    let level = match Cursor::new(line.as_bytes()).peek()? {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let (timestamp, _) = time::klog(line.as_bytes().get(1..)?, now)?;
    Some(Recognised { timestamp: Some(timestamp), level: Some(level), ..Recognised::default() })
}
