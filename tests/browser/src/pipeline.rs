//! The pipeline under test: the real binary, in one process, on a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running `logpipeline` without demo events.
pub struct Pipeline {
    child: Child,
    _data: TempDir,
    /// Where it listens, as `http://127.0.0.1:PORT`.
    pub origin: String,
    /// A bearer token that may read and write.
    pub token: String,
}

impl Pipeline {
    /// Starts it and waits for the line with its address.
    ///
    /// # Errors
    /// No binary, or no address within 30 s; the message holds what it wrote.
    pub async fn start() -> Result<Self> {
        let data = tempfile::tempdir()?;
        let log = data.path().join("stderr.txt");
        let mut child = Command::new(binary()?)
            .args(["--listen", "127.0.0.1:0", "--demo", "0", "--data-dir"])
            .arg(data.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("starting logpipeline")?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let address = timeout(START_DEADLINE, address_line(&mut lines)).await;
        let Ok(Ok((origin, token))) = address else {
            let written = std::fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "logpipeline printed no address within {START_DEADLINE:?} ({address:?}); stderr:\n{written}"
            );
        };
        // Nobody may be blocked by a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, _data: data, origin, token })
    }

    /// Ends the process.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Reads until the line with `http://…/#token=…`; returns origin and token.
async fn address_line(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<(String, String)> {
    while let Some(line) = lines.next_line().await? {
        let address =
            line.split_whitespace().find(|word| word.starts_with("http://") && word.contains("#token="));
        if let Some((origin, token)) = address.and_then(|address| address.split_once("/#token=")) {
            return Ok((origin.to_owned(), token.to_owned()));
        }
    }
    bail!("it ended")
}

/// `LOGPIPELINE_BIN`, or the newer of the debug and the release build.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LOGPIPELINE_BIN") {
        return Ok(path.into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    ["debug", "release"]
        .into_iter()
        .map(|profile| target.join(profile).join("logpipeline"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .context("no logpipeline binary: run `cargo build -p standalone`, or name it in LOGPIPELINE_BIN")
}
