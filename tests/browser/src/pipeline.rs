//! The pipeline under test: the real binary, in one process, on a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running `logpipeline` without demo events.
pub struct Pipeline {
    child: Child,
    data: TempDir,
    /// Where it listens, as `http://127.0.0.1:PORT`.
    pub origin: String,
    /// A bearer token that may read and write.
    pub token: String,
}

impl Pipeline {
    /// Starts it, with the text of a file of limits if there is one, and waits for the line with its address.
    ///
    /// # Errors
    /// No binary, or no address within 30 s; the message holds what it wrote.
    pub async fn start(limits: Option<&str>) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let log = data.path().join("stderr.txt");
        let mut command = Command::new(binary()?);
        command.args(["--listen", "127.0.0.1:0", "--demo", "0", "--data-dir"]).arg(data.path().join("data"));
        if let Some(limits) = limits {
            let file = data.path().join("limits.json");
            std::fs::write(&file, limits)?;
            command.arg("--rate-limits").arg(file);
        }
        let mut child = command
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
        Ok(Self { child, data, origin, token })
    }

    /// Where it keeps topic, store and secret.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// A token for an organisation, `*` being any, as the command line makes it.
    ///
    /// # Errors
    /// The program does not run or refuses.
    pub async fn token_for(&self, organisation: &str) -> Result<String> {
        self.token_with(organisation, &[]).await
    }

    /// A token of an organisation that may only read and write its logs, as its developers have.
    ///
    /// # Errors
    /// The program does not run or refuses.
    pub async fn token_of_tenant(&self, organisation: &str) -> Result<String> {
        self.token_with(organisation, &["--scope", "logs:read,logs:write"]).await
    }

    async fn token_with(&self, organisation: &str, options: &[&str]) -> Result<String> {
        let mut command = Command::new(binary()?);
        command.args(["token", "--organisation", organisation]).args(options);
        command.arg("--data-dir").arg(self.data_dir());
        let output = command.output().await.context("making a token")?;
        ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
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
