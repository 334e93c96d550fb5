//! Runs against a real server that is busy, broken, unwilling or slow.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod server;

use serde_json::json;
use server::{Reply, Request, Server, generate, generate_until};
use std::{
    collections::HashSet,
    fs,
    io::Write,
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything that should happen soon.
const SOON: Duration = Duration::from_secs(30);

fn log_file(lines: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for number in 0..lines {
        writeln!(file, "line {number}").unwrap();
    }
    file
}

/// Replays so many lines in batches of ten over one connection.
async fn replay(server: &Server, lines: usize, more: &[&str]) -> String {
    let file = log_file(lines);
    let path = file.path().to_str().unwrap();
    let args = [&["--batch", "10", "--connections", "1", "--replay", path], more].concat();
    let summary = generate(server, &args).await;
    format!("{} all={}", summary, summary.all_acknowledged())
}

fn messages(requests: &[Request]) -> Vec<String> {
    let events = requests.iter().flat_map(|request| &request.events);
    events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn has(said: &str, fields: &str) {
    for field in fields.split(' ') {
        assert!(said.split(' ').any(|of| of == field), "{field} is missing: {said}");
    }
}

#[tokio::test]
async fn a_file_arrives_whole_and_in_order_with_the_token() {
    let server = Server::start([]).await;
    let said = replay(&server, 1_234, &["--service", "shop", "--organisation", "acme"]).await;
    has(
        &said,
        "sent=1234 acknowledged=1234 rejected=0 failed=0 retries=0 lines=1234 ended=complete all=true",
    );
    let requests = server.requests();
    assert_eq!(messages(&requests), (0..1_234).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert_eq!(requests.len(), 124);
    assert_eq!(requests[0].headers["authorization"], "Bearer secret");
    assert_eq!(requests[0].headers["content-type"], "application/x-ndjson");
    assert_eq!(
        (&requests[0].events[0]["service"], &requests[0].events[0]["organizationId"]),
        (&json!("shop"), &json!("acme"))
    );
}

#[tokio::test]
async fn compressed_requests_say_so() {
    for compression in ["gzip", "zstd"] {
        let server = Server::start([]).await;
        has(&replay(&server, 30, &["--compression", compression]).await, "acknowledged=30 all=true");
        let requests = server.requests();
        assert_eq!(requests[0].headers["content-encoding"], compression);
        assert_eq!(messages(&requests).len(), 30);
    }
}

#[tokio::test]
async fn a_busy_pipeline_is_left_alone_for_as_long_as_it_asks() {
    for status in [429, 503] {
        let server = Server::start([Reply::Status(status, Some(1), json!({"detail": "busy"}))]).await;
        let said = replay(&server, 10, &[]).await;
        has(&said, "sent=10 acknowledged=10 failed=0 retries=1 all=true");
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].ids(), requests[1].ids());
        let pause = requests[1].at - requests[0].at;
        assert!(pause >= Duration::from_millis(950), "{pause:?} after {status}");
    }
}

#[tokio::test]
async fn only_what_may_be_accepted_later_is_sent_again() {
    let rejected =
        json!([{"index": 2, "reason": "too old"}, {"index": 5, "reason": "full", "retryable": true}]);
    let server =
        Server::start([Reply::Status(202, None, json!({"accepted": 8, "rejected": rejected}))]).await;
    has(&replay(&server, 10, &[]).await, "sent=10 acknowledged=9 rejected=1 failed=0 retries=1 all=false");
    let requests = server.requests();
    assert_eq!(requests[1].ids(), [requests[0].ids()[5]]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_sent_again() {
    let refused: Vec<_> = (0..10).map(|index| json!({"index": index, "reason": "no"})).collect();
    let script = [
        Reply::Status(400, None, json!({"detail": "all are refused", "rejected": refused})),
        Reply::Status(400, None, json!({"detail": "no events at all"})),
        Reply::Status(503, None, json!({"detail": "full", "rejected": [{"index": 0, "reason": "no"}]})),
    ];
    let server = Server::start(script).await;
    has(&replay(&server, 30, &[]).await, "sent=30 acknowledged=9 rejected=21 failed=0 retries=1 all=false");
    let sizes: Vec<_> = server.requests().iter().map(|request| request.events.len()).collect();
    assert_eq!(sizes, [10, 10, 10, 9]);
}

#[tokio::test]
async fn what_is_too_large_at_once_is_sent_in_parts() {
    let server = Server::always(|| Reply::AtMost(3)).await;
    has(&replay(&server, 10, &[]).await, "sent=10 acknowledged=10 rejected=0 retries=0 all=true");
    let requests = server.requests();
    let accepted: Vec<_> = requests.into_iter().filter(|request| request.events.len() <= 3).collect();
    assert_eq!(messages(&accepted), (0..10).map(|number| format!("line {number}")).collect::<Vec<_>>());
    let nothing = Server::always(|| Reply::AtMost(0)).await;
    has(&replay(&nothing, 10, &[]).await, "acknowledged=0 rejected=10 all=false");
}

#[tokio::test]
async fn broken_connections_lose_nothing_and_acknowledge_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let acked = dir.path().join("acked");
    let listener = server::listener().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broken = tokio::spawn(async move {
        for _ in 0..6 {
            let (mut connection, _) = listener.accept().await.unwrap();
            // In the middle of a request.
            connection.read_exact(&mut [0; 100]).await.unwrap();
        }
        listener
    });
    let file = log_file(2_000);
    let args =
        ["--replay", file.path().to_str().unwrap(), "--batch", "10", "--acked-file", acked.to_str().unwrap()];
    let recovered = async {
        let script =
            [Reply::Accept, Reply::Status(500, None, json!({})), Reply::Status(502, None, json!(null))];
        Server::on(broken.await.unwrap(), script, None)
    };
    let elsewhere = Server::start([]).await;
    let target = server::at(&elsewhere, url);
    let (summary, server) = tokio::join!(generate(&target, &args), recovered);
    let said = format!("{summary} all={}", summary.all_acknowledged());
    has(&said, "sent=2000 acknowledged=2000 failed=0 all=true");
    let acked = fs::read_to_string(acked).unwrap();
    let requests = server.requests();
    let received: HashSet<&str> = requests.iter().flat_map(Request::ids).collect();
    let distinct: HashSet<&str> = acked.lines().collect();
    assert_eq!((acked.lines().count(), distinct.len()), (2_000, 2_000));
    assert_eq!(distinct, received);
}

#[tokio::test]
async fn a_refused_token_ends_the_run_at_once() {
    for status in [401, 403, 404] {
        let server = Server::always(match status {
            401 => || Reply::Status(401, None, json!({"detail": "expired"})),
            403 => || Reply::Status(403, None, json!({"detail": "no scope"})),
            _ => || Reply::Status(404, None, json!({"detail": "nothing here"})),
        })
        .await;
        let begun = Instant::now();
        let said = replay(&server, 1_000, &[]).await;
        has(&said, "sent=10 acknowledged=0 failed=10 ended=refused all=false");
        assert!(begun.elapsed() < SOON && server.requests().len() == 1, "{said}");
    }
}

#[tokio::test]
async fn without_a_second_try_events_fail_and_a_replay_leaves_no_gap() {
    let server = Server::start([Reply::Accept, Reply::Status(500, None, json!({"detail": "broken"}))]).await;
    let said = replay(&server, 100, &["--give-up-after", "0s"]).await;
    has(&said, "sent=20 acknowledged=10 failed=10 ended=given-up all=false");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_pipeline_that_is_not_there_fails_after_the_time_to_give_up() {
    let listener = server::listener().await;
    let nobody = server::at(&Server::start([]).await, format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let begun = Instant::now();
    let said = replay(&nobody, 100, &["--give-up-after", "300ms"]).await;
    has(&said, "sent=10 acknowledged=0 failed=10 ended=given-up all=false");
    assert!(begun.elapsed() < SOON, "{said}");
}

#[tokio::test]
async fn made_up_load_sends_rate_times_duration_over_organisations() {
    let server = Server::start([]).await;
    let args = ["--rate", "500", "--for", "1s", "--organisations", "4", "--skew", "1", "--seed", "7"];
    let summary = generate(&server, &args).await;
    let said = format!("{summary} all={}", summary.all_acknowledged());
    has(&said, "sent=500 acknowledged=500 behind=0 ended=complete all=true");
    let requests = server.requests();
    let events = requests.iter().flat_map(|request| &request.events);
    let organisations: HashSet<&str> =
        events.map(|event| event["organizationId"].as_str().unwrap()).collect();
    assert_eq!(organisations, HashSet::from(["org-001", "org-002", "org-003", "org-004"]));
}

#[tokio::test]
async fn a_stop_ends_made_up_load_with_all_verdicts_in() {
    let server = Server::start([]).await;
    let stop = CancellationToken::new();
    let stopped = async {
        server.came(20).await;
        stop.cancel();
    };
    let (summary, ()) =
        tokio::join!(generate_until(&server, &["--rate", "0", "--batch", "10"], stop.clone()), stopped);
    let said =
        format!("{0} all={1}", summary.as_ref().unwrap(), summary.as_ref().unwrap().all_acknowledged());
    let received = server.requests().iter().map(|request| request.events.len()).sum::<usize>();
    has(&said, &format!("sent={received} acknowledged={received} ended=stopped all=true"));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_pipeline_that_is_away() {
    let server = Server::always(|| Reply::Status(503, Some(600), json!({"detail": "away"}))).await;
    let stop = CancellationToken::new();
    let stopped = async {
        server.came(1).await;
        stop.cancel();
    };
    let begun = Instant::now();
    let args = ["--rate", "0", "--give-up-after", "1h", "--connections", "1"];
    let (summary, ()) = tokio::join!(generate_until(&server, &args, stop.clone()), stopped);
    has(&summary.unwrap().to_string(), "sent=500 failed=500 ended=stopped");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn a_demonstration_says_when_its_token_is_refused() {
    let server = Server::always(|| Reply::Status(401, None, json!({"detail": "expired"}))).await;
    let demo = generator::demo(server.url.clone(), "t".into(), 50.0, Some(3), CancellationToken::new());
    let error = demo.await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn what_cannot_begin_says_what_to_change() {
    let server = Server::start([]).await;
    for (args, expected) in [
        (&["--replay", "/nowhere/a.log"][..], "/nowhere/a.log cannot be opened"),
        (&["--acked-file", "/nowhere/acked"], "/nowhere/acked cannot be written"),
        (&["--rate", "0", "--burst", "5:1s"], "--rate"),
    ] {
        let error = generate_until(&server, args, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
