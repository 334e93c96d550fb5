//! Replay of log files: a thread reads and encodes, a bounded channel carries batches, so that memory stays small
//! however large the file is.

mod event;
mod lines;

use crate::{batch::Batch, ids::Ids, rng::Rng};
use event::{Encoded, Encoder};
use lines::Splitter;
use record::Timestamp;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};
use tokio::sync::{mpsc, oneshot};

/// Bytes read at once.
const READ_BYTES: usize = 128 * 1024;
/// Batches read ahead.
const CHUNKS_AHEAD: usize = 4;

/// What to replay, and how.
#[derive(Debug, Clone)]
pub(crate) struct ReplayPlan {
    pub(crate) input: Input,
    /// The service of all lines; without it each line's own, else the file's name.
    pub(crate) service: Option<String>,
    /// What events name as their organisation.
    pub(crate) organisation: Option<String>,
    /// Limits of a batch.
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// Where lines come from.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// `-` is standard input.
    pub(crate) fn named(path: &Path) -> Input {
        if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path.to_owned()) }
    }

    /// The service of lines that name none: the file's name without its extension.
    fn service(&self) -> String {
        let stem = match self {
            Input::Stdin => None,
            Input::File(path) => {
                path.file_stem().map(|stem| stem.to_string_lossy().replace(char::is_control, "?"))
            }
        };
        let stem = stem.filter(|stem| !stem.trim().is_empty()).unwrap_or_else(|| "stdin".to_owned());
        stem[..stem.floor_char_boundary(record::limits::SERVICE_BYTES)].to_owned()
    }

    fn open(&self) -> io::Result<File> {
        match self {
            Input::Stdin => {
                use std::os::fd::AsFd;
                io::stdin().as_fd().try_clone_to_owned().map(File::from)
            }
            Input::File(path) => File::open(path),
        }
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Input::Stdin => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

/// Encoded lines, in order, and how far reading has come.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) batch: Batch,
    pub(crate) progress: Progress,
}

/// What was read so far.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) empty_lines: u64,
    pub(crate) truncated_lines: u64,
}

/// An input that is being read.
pub(crate) struct Reading {
    /// Ends after the last line, or with the error that ended it.
    pub(crate) chunks: mpsc::Receiver<io::Result<Chunk>>,
    /// Bytes of the input, where it is a file.
    pub(crate) total_bytes: Option<u64>,
}

/// Opens the input and begins to read it.
///
/// # Errors
/// When it cannot be opened. Errors while reading come through the channel.
pub(crate) async fn start(plan: ReplayPlan) -> io::Result<Reading> {
    let (opened, opening) = oneshot::channel();
    let (chunks_in, chunks) = mpsc::channel(CHUNKS_AHEAD);
    // A thread of its own, and never joined: reading a terminal or a pipe cannot be interrupted.
    std::thread::Builder::new().name("replay".into()).spawn(move || match open(&plan.input) {
        Ok((file, total_bytes)) => {
            if opened.send(Ok(total_bytes)).is_ok() {
                read(file, total_bytes.is_some(), plan, &chunks_in);
            }
        }
        Err(error) => {
            // Nobody waits any more when the run was stopped meanwhile.
            let _ = opened.send(Err(error));
        }
    })?;
    let total_bytes = opening.await.map_err(|_| io::Error::other("the reading thread ended"))??;
    Ok(Reading { chunks, total_bytes })
}

/// The file, and its size if it is a regular one.
fn open(input: &Input) -> io::Result<(File, Option<u64>)> {
    let file = input.open()?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}

/// Reads to the end. Of a regular file every batch but the last is full; from a pipe lines go on as they come.
fn read(mut file: File, regular: bool, plan: ReplayPlan, chunks: &mpsc::Sender<io::Result<Chunk>>) {
    let default_service = plan.input.service();
    let encoder =
        Encoder::new(plan.service, default_service, plan.organisation, Ids::new(Rng::from_entropy()));
    let mut state = State {
        encoder,
        batch: Batch::default(),
        full: Vec::new(),
        progress: Progress::default(),
        events: plan.events,
        bytes: plan.bytes,
        now_millis: 0,
    };
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // Lines before the error are as good as any.
                splitter.finish(|line| state.line(&line));
                let _ = state.send(true, chunks);
                let _ = chunks.blocking_send(Err(error));
                return;
            }
        };
        state.now_millis = u64::try_from(Timestamp::now().as_nanos() / 1_000_000).unwrap_or(0);
        state.progress.bytes += count as u64;
        if count == 0 {
            splitter.finish(|line| state.line(&line));
        } else {
            splitter.feed(&buffer[..count], |line| state.line(&line));
        }
        if state.send(count == 0 || !regular, chunks).is_err() || count == 0 {
            return;
        }
    }
}

/// Batches being filled.
struct State {
    encoder: Encoder,
    batch: Batch,
    full: Vec<Batch>,
    progress: Progress,
    events: usize,
    bytes: usize,
    now_millis: u64,
}

impl State {
    fn line(&mut self, line: &lines::Line<'_>) {
        self.progress.lines += 1;
        match self.encoder.push(&mut self.batch, line, self.now_millis) {
            Encoded::Whole => {}
            Encoded::Truncated => self.progress.truncated_lines += 1,
            Encoded::Empty => self.progress.empty_lines += 1,
        }
        if self.batch.len() >= self.events || self.batch.bytes() >= self.bytes {
            self.full.push(std::mem::take(&mut self.batch));
        }
    }

    /// Sends full batches, and with `all` the one being filled. Fails when nobody listens any more.
    fn send(&mut self, all: bool, chunks: &mpsc::Sender<io::Result<Chunk>>) -> Result<(), ()> {
        if all && (!self.batch.is_empty() || self.full.is_empty()) {
            self.full.push(std::mem::take(&mut self.batch));
        }
        for batch in self.full.drain(..) {
            chunks.blocking_send(Ok(Chunk { batch, progress: self.progress })).map_err(|_| ())?;
        }
        Ok(())
    }
}
