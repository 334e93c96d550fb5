use super::*;
use crate::{
    replay::{self, Input, ReplayPlan},
    synth::Organisations,
};
use std::{collections::HashSet, io::Write as _};

fn limits(events: usize, bytes: usize) -> BatchLimits {
    BatchLimits { events, bytes, linger: Duration::from_millis(20) }
}

fn pace(rate: f64, seconds: u64) -> Option<Pace> {
    Some(Pace::new(rate, None, Duration::from_millis(20), Some(Duration::from_secs(seconds))))
}

async fn file(text: &[u8], limits: BatchLimits) -> (tempfile::NamedTempFile, Reading) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let plan = ReplayPlan {
        input: Input::File(file.path().to_owned()),
        service: None,
        organisation: None,
        events: limits.events,
        bytes: limits.bytes,
    };
    let reading = replay::start(plan).await.unwrap();
    (file, reading)
}

/// All messages, and the sizes of the batches they came in.
async fn drain(source: &mut Source) -> (Vec<String>, Vec<usize>) {
    let (mut messages, mut sizes, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    while let Some(due) = source.next().await {
        sizes.push(due.batch.len());
        assert!(due.batch.ids().iter().all(|id| ids.insert(*id)), "an id came twice");
        for line in due.batch.body().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            messages.push(event["message"].as_str().unwrap().to_owned());
        }
    }
    (messages, sizes)
}

fn numbered(count: usize) -> (Vec<String>, String) {
    let lines: Vec<_> = (0..count).map(|number| format!("line {number}")).collect();
    let text = lines.join("\r\n");
    (lines, text)
}

#[tokio::test]
async fn a_file_comes_whole_and_in_order_in_full_batches() {
    let (lines, text) = numbered(2_345);
    let limits = limits(100, 1 << 20);
    let (_file, reading) = file(text.as_bytes(), limits).await;
    assert_eq!(reading.total_bytes, Some(text.len() as u64));
    let mut source = Source::replay(reading, None, limits, None);
    let (messages, sizes) = drain(&mut source).await;
    assert_eq!(messages, lines);
    assert_eq!((sizes.len(), sizes[0], sizes[23]), (24, 100, 45));
    let end = source.into_replay_end().unwrap();
    assert!(end.complete && end.error.is_none());
    assert_eq!((end.progress.lines, end.progress.bytes), (2_345, text.len() as u64));
}

#[tokio::test]
async fn batches_stay_below_their_bytes_unless_one_event_is_larger() {
    let text = format!("{}\n{}\n{}\nlast", "a".repeat(400), "b".repeat(400), "c".repeat(5_000));
    let limits = limits(100, 1_200);
    let (_file, reading) = file(text.as_bytes(), limits).await;
    let (messages, sizes) = drain(&mut Source::replay(reading, None, limits, None)).await;
    assert_eq!((messages.len(), sizes), (4, vec![2, 1, 1]));
}

/// The same input, read to its end: paused time must not run ahead of a thread that reads.
async fn read_ahead(mut reading: Reading) -> Reading {
    let (ahead, chunks) = tokio::sync::mpsc::channel(100);
    while let Some(chunk) = reading.chunks.recv().await {
        ahead.try_send(chunk).expect("there is room");
    }
    Reading { chunks, total_bytes: reading.total_bytes }
}

#[tokio::test(start_paused = true)]
async fn a_rate_spreads_a_file_over_time() {
    let (lines, text) = numbered(1_000);
    let limits = limits(100, 1 << 20);
    let (_file, reading) = file(text.as_bytes(), limits).await;
    let reading = read_ahead(reading).await;
    let mut source = Source::replay(reading, pace(500.0, 60), limits, None);
    let begin = Instant::now();
    let (messages, _) = drain(&mut source).await;
    assert_eq!(messages, lines);
    let taken = begin.elapsed();
    assert!((Duration::from_millis(1_900)..=Duration::from_millis(2_100)).contains(&taken), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn made_up_load_offers_exactly_rate_times_duration() {
    let synth = Synth::new(1, Organisations::from_token());
    let run_for = Some(Duration::from_secs(3));
    let mut source = Source::synth(synth, pace(730.0, 3), limits(50, 1 << 20), run_for);
    let begin = Instant::now();
    let (messages, sizes) = drain(&mut source).await;
    assert_eq!(messages.len(), 2_190);
    assert!(sizes.iter().all(|size| *size <= 50));
    assert!(begin.elapsed() <= Duration::from_millis(3_050), "{:?}", begin.elapsed());
    assert_eq!(source.behind(), 0);
}

#[tokio::test]
async fn lines_of_a_pipe_do_not_wait_for_a_full_batch() {
    let (read, write) = io::pipe().unwrap();
    let limits = limits(100, 1 << 20);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&read));
    let plan = ReplayPlan {
        input: Input::File(path.into()),
        service: None,
        organisation: None,
        events: limits.events,
        bytes: limits.bytes,
    };
    let reading = replay::start(plan).await.unwrap();
    assert_eq!(reading.total_bytes, None);
    let mut source = Source::replay(reading, None, limits, None);
    let mut write = write;
    write.write_all(b"one\ntwo\nthr").unwrap();
    let first = source.next().await.unwrap();
    assert_eq!(first.batch.len(), 2);
    write.write_all(b"ee\n").unwrap();
    assert_eq!(source.next().await.unwrap().batch.len(), 1);
    drop(write);
    assert!(source.next().await.is_none());
    assert!(source.into_replay_end().unwrap().complete);
}

#[tokio::test]
async fn what_cannot_be_opened_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("missing.log"), directory.path().to_owned()] {
        let input = Input::File(path);
        let plan = ReplayPlan { input, service: None, organisation: None, events: 10, bytes: 1_000 };
        assert!(replay::start(plan).await.is_err());
    }
}
