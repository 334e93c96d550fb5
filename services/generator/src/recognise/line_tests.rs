use super::*;
use proptest::prelude::*;

const NOW: &str = "2026-07-15T12:00:00Z";

fn read(line: &str) -> Recognised<'_> {
    recognise(line, NOW.parse().unwrap())
}

/// Time, level and service of each line.
fn check(lines: &[(&str, &str, Option<Level>, Option<&str>)]) {
    for (line, time, level, service) in lines {
        let recognised = read(line);
        let shown = recognised.timestamp.map(|time| time.to_string());
        assert_eq!(shown.as_deref(), Some(*time), "{line}");
        assert_eq!(recognised.level, *level, "{line}");
        assert_eq!(recognised.service.as_deref(), *service, "{line}");
    }
}

#[test]
fn iso_8601_in_its_many_spellings() {
    check(&[
        ("2026-01-31T12:00:00Z INFO x", "2026-01-31T12:00:00Z", Some(Level::Info), None),
        ("2026-01-31T12:00:00.123456789+01:30 x", "2026-01-31T10:30:00.123456789Z", None, None),
        ("2026-01-31 12:00:00,978 INFO [main] a.B: x", "2026-01-31T12:00:00.978Z", Some(Level::Info), None),
        ("2026-01-31 12:00:00.5 -0800 x", "2026-01-31T20:00:00.5Z", None, None),
        ("2026-01-31 12:00:00 -05 degrees", "2026-01-31T12:00:00Z", None, None),
        ("2026-01-31 12:00:00 UTC [12] LOG:  x", "2026-01-31T12:00:00Z", None, None),
        ("2026-01-31T12:00Z x", "2026-01-31T12:00:00Z", None, None),
        ("2026/01/31 12:00:00 [error] 31#31: *1 x", "2026-01-31T12:00:00Z", Some(Level::Error), None),
        ("20260131T120000Z x", "2026-01-31T12:00:00Z", None, None),
        ("[2026-01-31 12:00:00,123] WARN x (kafka.Log)", "2026-01-31T12:00:00.123Z", Some(Level::Warn), None),
        ("2016-12-31T23:59:60Z leap", "2016-12-31T23:59:59Z", None, None),
        ("2026-01-31 12:00:00,1 - app - ERROR - x", "2026-01-31T12:00:00.1Z", Some(Level::Error), None),
    ]);
}

#[test]
fn a_time_behind_a_few_words_is_found() {
    check(&[
        (
            "nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.osapi [req-1] x",
            "2017-05-16T00:00:00.008Z",
            Some(Level::Info),
            Some("nova-api"),
        ),
        ("ERROR 2026-01-31 12:00:00 x", "2026-01-31T12:00:00Z", Some(Level::Error), None),
        (
            "time=\"2026-01-31T12:00:00Z\" level=warning msg=\"x\"",
            "2026-01-31T12:00:00Z",
            Some(Level::Warn),
            None,
        ),
        ("level=error ts=2026-01-31T12:00:00Z x", "2026-01-31T12:00:00Z", Some(Level::Error), None),
        ("web-1  | 2026-01-31T12:00:00Z DEBUG x", "2026-01-31T12:00:00Z", Some(Level::Debug), None),
    ]);
    for line in [
        "a trace of what happened at 2026-01-31 12:00:00",
        "token expires=2026-01-31T12:00:00Z",
        "\tat 2026-01-31 12:00:00",
    ] {
        assert_eq!(read(line).timestamp, None, "{line}");
    }
}

#[test]
fn syslog_with_and_without_priority() {
    check(&[
        ("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure", "2026-06-14T15:16:01Z", None, Some("sshd")),
        ("Jul  4 04:04:19 combo cups: cupsd shutdown succeeded", "2026-07-04T04:04:19Z", None, Some("cups")),
        (
            "Dec 10 06:55:46 LabSZ sshd[24200]: error: x",
            "2025-12-10T06:55:46Z",
            Some(Level::Error),
            Some("sshd"),
        ),
        ("Jul 16 01:00:00 tokyo cron[1]: ahead of UTC", "2026-07-16T01:00:00Z", None, Some("cron")),
        ("Feb 29 01:00:00 host (systemd)[1]: x", "2024-02-29T01:00:00Z", None, Some("systemd")),
        ("Jun 14 15:16:01 combo last message repeated 3 times", "2026-06-14T15:16:01Z", None, None),
        ("<34>Oct 11 22:14:15 mymachine su: x", "2025-10-11T22:14:15Z", Some(Level::Fatal), Some("su")),
        (
            "<165>1 2003-10-11T22:14:15.003Z host.example evntslog 12 ID47 [a@1 b=\"c\"] x",
            "2003-10-11T22:14:15.003Z",
            Some(Level::Info),
            Some("evntslog"),
        ),
        ("2026-01-31T12:00:00.1+01:00 web1 nginx[7]: x", "2026-01-31T11:00:00.1Z", None, Some("nginx")),
    ]);
    assert_eq!(read("Jun 14 15:16:01 combo sshd[1]: x").host, Some("combo"));
    let nil = read("<11>1 - - - - - - x");
    assert_eq!((nil.timestamp, nil.level, nil.host, nil.service), (None, Some(Level::Error), None, None));
}

#[test]
fn apache_s_error_and_access_logs() {
    let access = |status: &str| {
        format!(
            "10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a\\\"b HTTP/1.0\" {status} 23 \"-\" \"x\""
        )
    };
    let (ok, missing, broken) = (access("200"), access("404"), access("503"));
    let at = "2000-10-10T20:55:36Z";
    check(&[
        ("[Sun Dec 04 04:47:44 2005] [error] mod_jk x", "2005-12-04T04:47:44Z", Some(Level::Error), None),
        ("[Sun Dec 04 04:47:44 2005] [notice] workerEnv", "2005-12-04T04:47:44Z", Some(Level::Info), None),
        (
            "[Fri Sep 09 10:42:29.902022 2011] [core:warn] [pid 3:tid 4] x",
            "2011-09-09T10:42:29.902022Z",
            Some(Level::Warn),
            None,
        ),
        (&ok, at, Some(Level::Info), None),
        (&missing, at, Some(Level::Warn), None),
        (&broken, at, Some(Level::Error), None),
        ("::1 - - [10/Oct/2000:13:55:36 -0700] \"-\" 408 0", at, Some(Level::Warn), None),
    ]);
}

#[test]
fn compact_forms() {
    check(&[
        ("081109 203615 148 INFO dfs.DataNode: x", "2008-11-09T20:36:15Z", Some(Level::Info), None),
        ("17/06/09 20:10:40 WARN executor.Backend: x", "2017-06-09T20:10:40Z", Some(Level::Warn), None),
        ("I0613 12:34:56.789012    1 main.go:12] x", "2026-06-13T12:34:56.789012Z", Some(Level::Info), None),
        ("1769860800.25 ERROR x", "2026-01-31T12:00:00.25Z", Some(Level::Error), None),
        ("1769860800250 x", "2026-01-31T12:00:00.25Z", None, None),
        (
            "{\"ts\":1769860800,\"level\":\"error\",\"msg\":\"x\"}",
            "2026-01-31T12:00:00Z",
            Some(Level::Error),
            None,
        ),
    ]);
}

#[test]
fn what_is_no_time_is_none() {
    for line in [
        "",
        " ",
        "101112 101112 items shipped",
        "2026-13-31 12:00:00 x",
        "2026-02-30 12:00:00 x",
        "1969-12-31 23:59:59 x",
        "2262-01-01 00:00:00 x",
        "9999-99-99T99:99:99Z",
        "12345678901234567890123 x",
        "0000000000 x",
        "java.lang.Error: x",
        "<999>x",
        "[",
        "{",
    ] {
        assert_eq!(read(line).timestamp, None, "{line:?}");
    }
}

/// Pieces of known forms, so that random lines come close to them.
fn nearly_a_line() -> impl Strategy<Value = String> {
    let pieces = [
        "2026-01-31",
        "T",
        " ",
        "12:00:00",
        ",978",
        ".5",
        "+01:00",
        "-0800",
        "Z",
        "Jun 14",
        "Feb 29",
        "15:16:01",
        "host",
        "sshd[1]:",
        "(x)",
        "<34>",
        "1 ",
        "-",
        "[",
        "]",
        "Sun Dec 04 ",
        "2005",
        "[error]",
        "10/Oct/2000:",
        "\"",
        "\\",
        "GET /",
        "200",
        "081109",
        "203615",
        "INFO",
        "level=",
        "{",
        "}",
        "\"ts\":",
        "1769860800",
        "é",
        "\u{1F980}",
        "\t",
        "=",
        ":",
        "trace",
        "999999999999",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_line_panics_and_every_time_is_in_range(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(time) = read(&line).timestamp {
            prop_assert!(time >= Timestamp::MIN && time <= Timestamp::MAX);
        }
    }

    #[test]
    fn no_line_that_is_nearly_of_a_known_form_panics(line in nearly_a_line()) {
        if let Some(time) = read(&line).timestamp {
            prop_assert!(time >= Timestamp::MIN && time <= Timestamp::MAX);
        }
    }

    #[test]
    fn every_time_in_rfc_3339_reads_back(nanos in 0..=Timestamp::MAX.as_nanos()) {
        let time = Timestamp::from_nanos(nanos).unwrap();
        prop_assert_eq!(read(&format!("{time} ERROR x")).timestamp, Some(time));
    }

    #[test]
    fn a_time_without_a_year_is_never_more_than_a_day_ahead(
        month in 0..12_usize, day in 1..=28_u32, hour in 0..24_u32, now in 1_000_000_000..4_000_000_000_i64,
    ) {
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let line = format!("{} {day:2} {hour:02}:00:00 host app: x", names[month]);
        let now = Timestamp::from_nanos(now * 1_000_000_000).unwrap();
        let time = recognise(&line, now).timestamp.unwrap();
        let ahead = (time.as_nanos() - now.as_nanos()) / 1_000_000_000;
        prop_assert!(ahead <= 86_400 && ahead > 86_400 - 367 * 86_400, "{} s ahead", ahead);
    }
}
