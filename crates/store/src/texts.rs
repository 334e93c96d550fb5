//! Texts that no store keeps, so that a record is broken in all of them or in none.

use record::LogRecord;

/// Why a store refuses the record's texts. PostgreSQL's text is UTF-8 without U+0000; SQLite would keep it.
///
/// # Errors
/// The reason, which names the field.
pub(crate) fn check(record: &LogRecord) -> Result<(), String> {
    let texts = [
        ("service", Some(&record.service)),
        ("message", Some(&record.message)),
        ("traceId", record.trace_id.as_ref()),
        ("spanId", record.span_id.as_ref()),
    ];
    let has_nul = |text: &String| memchr::memchr(0, text.as_bytes()).is_some();
    match texts.into_iter().find(|(_, text)| text.is_some_and(has_nul)) {
        Some((name, _)) => Err(format!("{name} contains U+0000, which text cannot hold")),
        None => Ok(()),
    }
}
