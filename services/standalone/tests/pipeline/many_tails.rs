//! Ten thousand clients that look on.

use crate::harness::{Pipeline, token};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

const ORGANISATIONS: usize = 10;
/// Events of a round, of one organisation, which a tenth of all look at.
const EVENTS: usize = 50;
const ROUNDS: usize = 4;
/// Clients whose answers are read; the others let them pile up.
const READ: usize = 100;
/// Longest wait for what was sent.
const SOON: Duration = Duration::from_secs(60);

/// A tail whose answer has begun.
fn look_on(pipeline: &Pipeline, token: &str) -> TcpStream {
    let address = pipeline.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request =
        format!("GET /api/v1/tail HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

/// Reads until the text came so often.
fn read_until(stream: &mut TcpStream, text: &str, times: usize) {
    let (mut seen, mut part) = (String::new(), [0; 16384]);
    while seen.matches(text).count() < times {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the tail goes on");
        seen.push_str(std::str::from_utf8(&part[..read]).unwrap());
        assert!(!seen.contains("another's"), "an event of another organisation: {seen}");
    }
}

#[tokio::test]
async fn ten_thousand_tails_take_little_memory_and_no_more_as_time_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    let tokens: Vec<String> =
        (0..ORGANISATIONS).map(|number| token(dir.path(), &format!("org-{number}"), &[])).collect();
    let allowed = rlimit::increase_nofile_limit(20_000).unwrap();
    let wanted = usize::try_from(allowed.saturating_sub(500).min(10_000)).unwrap();
    if wanted < 10_000 {
        println!("the system allows {allowed} open files: {wanted} tails instead of 10,000");
    }
    let before = pipeline.resident_kib();
    let begun = Instant::now();
    let mut tails: Vec<TcpStream> =
        (0..wanted).map(|number| look_on(&pipeline, &tokens[number % ORGANISATIONS])).collect();
    println!("{wanted} tails in {:?}", begun.elapsed());
    let mut resident = Vec::new();
    for round in 0..ROUNDS {
        let own: String = (0..EVENTS).map(|_| format!("{{\"message\":\"round {round}\"}}\n")).collect();
        assert_eq!(pipeline.post_with(&tokens[0], &[], own).await.0, 202);
        assert_eq!(pipeline.post_with(&tokens[1], &[], r#"{"message":"another's"}"#).await.0, 202);
        let begun = Instant::now();
        // The reader of the topic begins with the first tail, so that all see the first round.
        for tail in tails.iter_mut().step_by(ORGANISATIONS).take(READ) {
            read_until(tail, &format!("round {round}"), EVENTS);
        }
        resident.push(pipeline.resident_kib().saturating_sub(before));
        println!(
            "round {round}: read in {:?}, {} KiB more than without tails",
            begun.elapsed(),
            resident[round]
        );
    }
    assert!(resident[0] < 256 * 1024, "{wanted} tails took {} KiB", resident[0]);
    let grown = resident[ROUNDS - 1].saturating_sub(resident[1]);
    assert!(grown < 40 * 1024, "{grown} KiB more from round to round: {resident:?}");
    drop(tails);
    assert_eq!(pipeline.post_with(&tokens[0], &[], r#"{"message":"still here"}"#).await.0, 202);
}
