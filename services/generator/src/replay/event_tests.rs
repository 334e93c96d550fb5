use super::*;
use crate::rng::Rng;
use proptest::prelude::*;
use record::LogRecord;
use serde_json::{Value, json};

const NOW_MILLIS: u64 = 1_769_860_800_000;

fn encoder(service: Option<&str>) -> Encoder {
    Encoder::new(service.map(str::to_owned), "stem".into(), Some("acme".into()), Ids::new(Rng::seeded(1)))
}

/// The events of some lines.
fn events(service: Option<&str>, lines: &[&[u8]]) -> Vec<Value> {
    let (mut encoder, mut batch) = (encoder(service), Batch::default());
    for bytes in lines {
        encoder.push(&mut batch, &Line { bytes, dropped: 0 }, NOW_MILLIS);
    }
    let lines = batch.body().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("an event is JSON")).collect()
}

#[test]
fn the_whole_line_is_the_message() {
    let line = "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure; \"x\"\t\\é";
    let event = &events(None, &[line.as_bytes()])[0];
    assert_eq!(event["message"], line);
    assert_eq!(event["service"], "sshd");
    assert_eq!(event["organizationId"], "acme");
    assert_eq!(event["attributes"], json!({"host": "combo"}));
    assert_eq!(events(Some("linux"), &[line.as_bytes()])[0]["service"], "linux");
    let plain = &events(None, &[b"2026-01-31 12:00:00,978 ERROR [main] x"])[0];
    assert_eq!(plain["service"], "stem");
    assert_eq!((&plain["timestamp"], &plain["level"]), (&json!("2026-01-31T12:00:00.978Z"), &json!("ERROR")));
    assert_eq!(plain.get("attributes"), None);
}

#[test]
fn a_json_line_is_taken_apart() {
    let line = br#"{"ts":1769860800,"level":"warn","msg":"slow","service":"shop","trace_id":"t1","n":12.50}"#;
    let event = &events(None, &[line])[0];
    assert_eq!(
        (&event["message"], &event["service"], &event["traceId"]),
        (&json!("slow"), &json!("shop"), &json!("t1"))
    );
    assert_eq!(event["attributes"], json!({"n": 12.5}));
    let no_message = br#"{"ts":1769860800,"level":"warn","n":1}"#;
    assert_eq!(events(None, &[no_message])[0]["message"], std::str::from_utf8(no_message).unwrap());
}

#[test]
fn what_cannot_be_text_is_replaced_and_noted() {
    let event = &events(None, &[b"\xef\xbb\xbfa\xffb\0c"])[0];
    assert_eq!(event["message"], "a\u{fffd}b\u{fffd}c");
    assert_eq!(event["attributes"], json!({"invalidUtf8": true, "nulReplaced": true}));
}

#[test]
fn empty_lines_are_no_events() {
    let (mut encoder, mut batch) = (encoder(None), Batch::default());
    for bytes in [&b""[..], b"  ", b"\t"] {
        assert_eq!(encoder.push(&mut batch, &Line { bytes, dropped: 0 }, NOW_MILLIS), Encoded::Empty);
    }
    assert!(batch.is_empty());
}

#[test]
fn long_lines_are_cut_and_say_so() {
    let mut encoder = encoder(None);
    for (text, dropped) in [("x".repeat(300_000), 0), ("é".repeat(200_000), 77), ("\u{1}".repeat(250_000), 0)]
    {
        let mut batch = Batch::default();
        let line = Line { bytes: text.as_bytes(), dropped };
        assert_eq!(encoder.push(&mut batch, &line, NOW_MILLIS), Encoded::Truncated);
        assert!(batch.bytes() <= limits::EVENT_BYTES, "{} bytes", batch.bytes());
        let event: Value = serde_json::from_slice(batch.body()).unwrap();
        let message = event["message"].as_str().unwrap();
        assert!(
            text.starts_with(message) && message.len() <= limits::MESSAGE_BYTES && message.len() >= 99_000
        );
        assert_eq!(
            event["attributes"],
            json!({"truncated": true, "originalBytes": text.len() as u64 + dropped})
        );
    }
}

#[test]
fn a_character_at_the_cut_is_not_noted_as_invalid() {
    let (mut encoder, mut batch) = (encoder(None), Batch::default());
    encoder.push(&mut batch, &Line { bytes: &"aé".as_bytes()[..2], dropped: 1 }, NOW_MILLIS);
    let event: Value = serde_json::from_slice(batch.body()).unwrap();
    assert_eq!((&event["message"], &event["attributes"]["invalidUtf8"]), (&json!("a"), &Value::Null));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_line_makes_a_valid_record_or_is_empty(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != b'\n').collect();
        let (mut encoder, mut batch) = (encoder(None), Batch::default());
        let encoded = encoder.push(&mut batch, &Line { bytes: &bytes, dropped: 0 }, NOW_MILLIS);
        if encoded == Encoded::Empty {
            prop_assert!(bytes.trim_ascii().is_empty());
        } else {
            let line = batch.body().strip_suffix(b"\n").unwrap();
            prop_assert!(!line.contains(&b'\n'));
            let record = LogRecord::from_json(line).expect("a valid record");
            prop_assert!(!record.message.contains('\0'));
        }
    }

    #[test]
    fn any_json_object_makes_a_valid_record(keys in proptest::collection::vec("(ts|level|msg|service|n|é|\"|)", 0..6),
        values in proptest::collection::vec(r#"(1e999|-0|12\.50|"x"|"\\u0000"|"\\n"|\[1\]|null|1769860800)"#, 6)) {
        let members: Vec<_> = keys.iter().zip(&values).map(|(key, value)| format!("{}:{value}", json!(key))).collect();
        let line = format!("{{{}}}", members.join(","));
        let (mut encoder, mut batch) = (encoder(None), Batch::default());
        encoder.push(&mut batch, &Line { bytes: line.as_bytes(), dropped: 0 }, NOW_MILLIS);
        LogRecord::from_json(batch.body()).expect("a valid record");
    }
}
