//! A headless Chromium of its own, driven by a chromedriver of its own.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use url::{ParseError, Url};

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Whether the system is said to prefer a dark or a light page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourScheme {
    /// `prefers-color-scheme: light`
    Light,
    /// `prefers-color-scheme: dark`
    Dark,
}

impl fmt::Display for ColourScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Light => "light",
            Self::Dark => "dark",
        })
    }
}

/// A running chromedriver with one Chromium.
pub struct Browser {
    driver: Child,
    client: Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts both, on a free port and with an empty profile.
    ///
    /// # Errors
    /// One of them is missing or does not start within 30 s.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (driver, port) =
            timeout(START_DEADLINE, start_driver()).await.context("chromedriver is slow to start")??;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("starting chromium")?;
        Ok(Self { driver, client, _profile: profile })
    }

    /// The session.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Ends Chromium through its session, then chromedriver.
    pub async fn stop(mut self) {
        let _ = timeout(STOP_DEADLINE, self.client.close()).await;
        let _ = self.driver.kill().await;
    }
}

fn program(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

async fn start_driver() -> Result<(Child, u16)> {
    let mut driver = Command::new(program("CHROMEDRIVER", "chromedriver"))
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting chromedriver (is it installed?)")?;
    let mut lines = BufReader::new(driver.stdout.take().context("stdout is piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            let port = port.trim_end_matches('.').parse().with_context(|| format!("no port in {line:?}"))?;
            // Nobody may be blocked by a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((driver, port));
        }
    }
    anyhow::bail!("chromedriver ended before it named its port")
}

fn capabilities(profile: &TempDir) -> serde_json::Map<String, Value> {
    let mut options = json!({
        "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--window-size=1280,800",
            format!("--user-data-dir={}", profile.path().display()),
        ],
    });
    if let Ok(path) = std::env::var("CHROMIUM") {
        options["binary"] = path.into();
    }
    let mut all = serde_json::Map::new();
    all.insert("goog:chromeOptions".into(), options);
    all.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL", "performance": "ALL" }));
    all
}

/// A command of chromedriver that the WebDriver standard lacks: a path below the session, and a body.
#[derive(Debug)]
pub(crate) struct ChromeCommand {
    path: &'static str,
    body: Value,
}

impl ChromeCommand {
    /// The log entries of a kind (`browser`, `performance`) since the last call.
    pub(crate) fn log(kind: &str) -> Self {
        Self { path: "se/log", body: json!({ "type": kind }) }
    }

    /// A method of the Chrome `DevTools` protocol.
    pub(crate) fn devtools(method: &str, params: &Value) -> Self {
        Self { path: "goog/cdp/execute", body: json!({ "cmd": method, "params": params }) }
    }
}

impl WebDriverCompatibleCommand for ChromeCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
