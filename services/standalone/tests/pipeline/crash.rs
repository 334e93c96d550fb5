//! kill -9 in the middle of a replay: every acknowledged event is there afterwards, exactly once.

use crate::harness::{Pipeline, SOON, total};
use serde_json::json;
use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const LINES: usize = 60_000;

/// A log file as a server would write it, each line unlike any other.
fn write_log(path: &Path, round: usize) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for n in 0..LINES {
        let level = ["INFO", "WARN", "ERROR"][n % 3];
        let (minute, second) = (n / 60 % 60, n % 60);
        writeln!(file, "2026-02-03 04:{minute:02}:{second:02},123 {level} [main] round {round} line {n}")
            .unwrap();
    }
}

fn replay(pipeline: &Pipeline, log: &Path, acked: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_logpipeline"))
        .args(["generate", "--to", &pipeline.url, "--token", &pipeline.token, "--quiet"])
        .args(["--batch", "200", "--give-up-after", "0s", "--replay"])
        .arg(log)
        .arg("--acked-file")
        .arg(acked)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

fn acknowledged(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // The last line may be half written.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim().to_owned())
        .collect()
}

#[tokio::test]
async fn every_acknowledged_event_survives_kill_9_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut files: Vec<PathBuf> = Vec::new();
    for round in 0..3 {
        let log = dir.path().join(format!("round-{round}.log"));
        let acked = dir.path().join(format!("round-{round}.acked"));
        write_log(&log, round);
        let pipeline = Pipeline::start(&data);
        let mut generator = replay(&pipeline, &log, &acked);
        let begun = Instant::now();
        // Early in one round, late in another.
        while acknowledged(&acked).len() < 1 + round * 9_000 {
            assert!(begun.elapsed() < SOON, "round {round}: too little is acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pipeline.kill();
        assert!(!generator.wait().unwrap().success(), "round {round}: the kill came after the last line");
        files.push(acked);
    }

    let pipeline = Pipeline::start(&data);
    let ledger = pipeline.settled().await;
    assert_eq!((&ledger["balanced"], total(&ledger, "lost")), (&json!(true), 0), "{ledger}");
    let mut times_stored: HashMap<String, usize> = HashMap::new();
    for log in pipeline.search_all("").await {
        *times_stored.entry(log["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(times_stored.values().filter(|times| **times != 1).count(), 0, "events stored more than once");
    assert_eq!(times_stored.len() as i64, total(&ledger, "stored"));
    for file in files {
        let acked = acknowledged(&file);
        let missing = acked.iter().filter(|id| !times_stored.contains_key(*id)).count();
        assert_eq!(missing, 0, "of {} acknowledged events in {}", acked.len(), file.display());
    }
}

#[tokio::test]
async fn a_stop_drains_and_says_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(dir.path());
    for n in 0..50 {
        assert_eq!(pipeline.post(json!([{"message": format!("event {n}")}]).to_string()).await.0, 202);
    }
    let (status, said) = pipeline.stop();
    assert!(status.success(), "{said}");
    assert!(said.contains("stored 50 events, dead-lettered 0, none waiting"), "{said}");
    let again = Pipeline::start(dir.path());
    assert_eq!(again.search_all("").await.len(), 50);
}

#[test]
fn a_second_pipeline_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Pipeline::start(dir.path());
    let second = Command::new(env!("CARGO_BIN_EXE_logpipeline"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("in use"), "{said}");
}
