//! A process killed while it appends: what it acknowledged is there, once, in order.
//!
//! The test runs itself again as the process to kill, which prints a line for each acknowledged batch.

use crate::support::*;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const NAME: &str = "kill::acknowledged_records_survive_the_kill";
/// File and round, for the process to kill.
const FILE: &str = "TOPIC_KILL_TEST_FILE";
const ROUND: &str = "TOPIC_KILL_TEST_ROUND";
const ROUNDS: usize = 10;
const TASKS: usize = 12;
const BATCH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_the_kill() {
    if let (Ok(file), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) {
        return append_until_killed(Path::new(&file), &round).await;
    }
    let place = Place::new();
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        let after = usize::try_from(RandomState::new().hash_one(round) % 300).unwrap();
        let path = place.path();
        let lines = tokio::task::spawn_blocking(move || run_and_kill(&path, round, after)).await.unwrap();
        assert!(lines.len() >= after, "the process ended by itself after {} lines", lines.len());
        for line in lines {
            let (key, upto) = line.split_once(' ').unwrap();
            acknowledged.insert(key.to_owned(), upto.parse::<usize>().unwrap());
        }
        check(&place.path(), &acknowledged).await;
    }
}

/// Each key's records are 0, 1, 2…, the acknowledged ones and at most the batch that was under way.
async fn check(path: &Path, acknowledged: &HashMap<String, usize>) {
    let topic = open(path);
    let offsets = topic.viewer().offsets().await.unwrap();
    let count = usize::try_from(offsets.iter().map(|offsets| offsets.end).sum::<i64>()).unwrap();
    let mut reader = reader_from(&topic, 0).await;
    let mut found: HashMap<String, usize> = HashMap::new();
    for (partition, records) in read(&mut *reader, count).await {
        assert_eq!(records[0].offset, 0, "partition {partition}");
        for (record, number) in records.iter().zip(texts(&records)) {
            let key = String::from_utf8(record.key.to_vec()).unwrap();
            let next = found.entry(key.clone()).or_default();
            assert_eq!(number.parse(), Ok(*next), "{key} at {partition}/{}", record.offset);
            *next += 1;
        }
    }
    for (key, upto) in acknowledged {
        let found = found.get(key).copied().unwrap_or(0);
        assert!((*upto..=upto + BATCH).contains(&found), "{key}: {upto} acknowledged, {found} found");
    }
    drop(reader);
    within(topic.close()).await;
}

/// Starts the process, kills it when it has printed some lines, and returns all that it printed.
fn run_and_kill(path: &Path, round: usize, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    for line in output.split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        // A line that was cut by the kill has no end mark.
        if let Some((_, line)) = line.split_once("ACK ")
            && let Some(line) = line.strip_suffix('.')
        {
            lines.push(line.to_owned());
        }
        if lines.len() >= after {
            // SIGKILL; what the pipe still holds was acknowledged too. Again and again does no harm.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    lines
}

async fn append_until_killed(path: &Path, round: &str) {
    let topic = open(path);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (writer, key) = (topic.writer(), format!("round-{round}-task-{task}"));
            tokio::spawn(async move {
                let mut next = 0;
                loop {
                    let upto = next + 1 + (next + task) % BATCH;
                    append(&*writer, (next..upto).map(|n| record(&key, n.to_string())).collect()).await;
                    let mut output = std::io::stdout().lock();
                    writeln!(output, "ACK {key} {upto}.").unwrap();
                    next = upto;
                }
            })
        })
        .collect();
    for task in tasks {
        let () = task.await.unwrap();
    }
}
