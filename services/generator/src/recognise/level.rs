//! Levels as the field writes them.

use record::Level;

/// Words in which a level is looked for after the time.
const WORDS: usize = 6;
/// The longest name of a level, `INFORMATIONAL`.
const LONGEST_NAME: usize = 13;

/// The level with that name in any case, also `trace1` to `trace8` as Apache numbers them.
pub(super) fn named(word: &str) -> Option<Level> {
    let numbered = word.len() == 6 && word.is_char_boundary(5) && word[..5].eq_ignore_ascii_case("trace");
    let name = if numbered { word.trim_end_matches(|digit: char| digit.is_ascii_digit()) } else { word };
    if !(3..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    name.parse().ok()
}

/// The level a text begins with: one of its first words that is the name of a level and stands as one.
///
/// A name stands as a level in upper case, in brackets (`[error]`, `[core:error]`), as the first word, before a
/// colon (`error:`), or as the value of `level=`. So "an error occurred" is no ERROR.
pub(super) fn leading(text: &str) -> Option<Level> {
    text.split_ascii_whitespace().take(WORDS).enumerate().find_map(|(place, word)| standing(word, place == 0))
}

/// The level that the first word of a text is, or that a `level=` further on gives: what can be trusted in a text
/// that has no time before it.
pub(super) fn first_word(text: &str) -> Option<Level> {
    let mut words = text.split_ascii_whitespace().take(WORDS);
    let first = words.next()?;
    let bare_lower_case = first.bytes().all(|byte| byte.is_ascii_lowercase());
    (!bare_lower_case).then(|| standing(first, true)).flatten().or_else(|| words.find_map(keyed))
}

fn standing(word: &str, first: bool) -> Option<Level> {
    if let Some(level) = keyed(word) {
        return Some(level);
    }
    let bracketed = word.starts_with(['[', '<', '(', '|']);
    let inner = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    // `[core:error]` is Apache's module and level; `ERROR:root:text` is Python's level and logger.
    let name = if bracketed { inner.rsplit(':').next()? } else { inner.split(':').next()? };
    let level = named(name)?;
    let before_colon = word[word.find(name)? + name.len()..].starts_with(':');
    let upper_case = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let common = !matches!(name, "fine" | "finest" | "severe" | "alert" | "information");
    (bracketed || upper_case || before_colon || (first && common)).then_some(level)
}

/// `level=warn`, `lvl="warn"`, `severity:WARN`.
fn keyed(word: &str) -> Option<Level> {
    let (key, value) = word.split_once('=').or_else(|| word.split_once(':'))?;
    let key = key.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let known = ["level", "lvl", "severity", "loglevel"].iter().any(|name| key.eq_ignore_ascii_case(name));
    known.then(|| named(value.trim_matches(|c: char| !c.is_ascii_alphanumeric()))).flatten()
}

/// The level of a syslog severity, 0 to 7 (RFC 5424, section 6.2.1).
pub(super) fn of_syslog_severity(severity: u32) -> Level {
    match severity {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        _ => Level::Debug,
    }
}

/// The level of an HTTP status in an access log.
pub(super) fn of_http_status(status: u32) -> Level {
    match status {
        500.. => Level::Error,
        400..=499 => Level::Warn,
        _ => Level::Info,
    }
}

/// The level of a number as Bunyan and Pino write it: 10 is TRACE, 60 is FATAL.
pub(super) fn of_bunyan_number(number: u64) -> Option<Level> {
    ((10..=60).contains(&number) && number.is_multiple_of(10))
        .then(|| u8::try_from(number / 10 - 1).ok().and_then(Level::from_number))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_level_only_where_it_stands_as_one() {
        for (text, level) in [
            ("INFO [main] org.example.App: started", Some(Level::Info)),
            ("25746 WARNING nova.compute.manager [req-1] text", Some(Level::Warn)),
            ("- mymodule - ERROR - text", Some(Level::Error)),
            ("- INFO  [QuorumPeer:/0.0.0.0:2181] - text", Some(Level::Info)),
            ("[error] mod_jk child in error state 6", Some(Level::Error)),
            ("[core:crit] [pid 1:tid 2] text", Some(Level::Fatal)),
            ("[ssl:trace4] [pid 1:tid 2] text", Some(Level::Trace)),
            ("INFO:root:text", Some(Level::Info)),
            ("\tinfo\tmain.go:12\ttext", Some(Level::Info)),
            ("caller=main.go:12 level=warn msg=\"text\"", Some(Level::Warn)),
            ("|DEBUG| text", Some(Level::Debug)),
            ("error: connection lost", Some(Level::Error)),
            ("connection failed with an error in it", None),
            ("the info desk is closed", None),
            ("fine weather", None),
            ("", None),
        ] {
            assert_eq!(leading(text), level, "{text}");
        }
    }

    #[test]
    fn without_a_time_only_a_clear_first_word_or_a_key_counts() {
        assert_eq!(first_word("ERROR something"), Some(Level::Error));
        assert_eq!(first_word("fatal: no such file"), Some(Level::Fatal));
        assert_eq!(first_word("msg=\"x\" level=error"), Some(Level::Error));
        assert_eq!(first_word("error while reading"), None);
        assert_eq!(first_word("at ERROR place"), None);
    }

    #[test]
    fn numbers_have_levels_too() {
        assert_eq!((0..8).map(of_syslog_severity).collect::<Vec<_>>(), {
            use Level::{Debug, Error, Fatal, Info, Warn};
            [Fatal, Fatal, Fatal, Error, Warn, Info, Info, Debug]
        });
        assert_eq!(of_http_status(404), Level::Warn);
        assert_eq!((of_bunyan_number(30), of_bunyan_number(35)), (Some(Level::Info), None));
    }
}
