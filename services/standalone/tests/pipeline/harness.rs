//! Starts the real binary on a directory of its own and talks to it over HTTP.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longest wait for anything that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A running pipeline; killed when dropped.
pub(crate) struct Pipeline {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// For the organisation `demo`.
    pub(crate) token: String,
    client: reqwest::Client,
}

impl Pipeline {
    /// Starts one on the directory and waits until it has said where it listens.
    pub(crate) fn start(data_dir: &Path) -> Pipeline {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logpipeline"))
            .args(["--listen", "127.0.0.1:0", "--demo", "0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        while !line.trim_start().starts_with("page") {
            line.clear();
            assert!(stdout.read_line(&mut line).expect("stdout is text") > 0, "it ended before it listened");
        }
        let page = line.split_whitespace().nth(1).expect("an address follows");
        let (url, token) = page.split_once("/#token=").expect("the address carries the token");
        Pipeline { child, stdout, url: url.into(), token: token.into(), client: client() }
    }

    /// SIGKILL: no goodbye, nothing flushed.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; answers how it ended and what it said from then on.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut said).expect("stdout is text");
        (self.child.wait().expect("it ends"), said)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Resident memory, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("Linux says so");
        line.split_whitespace().nth(1).expect("a number follows").parse().expect("it is one")
    }

    /// A GET with the token, and what it answered.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.get_as(&self.token, path).await
    }

    /// A GET with another token.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    /// A POST of events with the token.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        self.post_with(&self.token, &[], body).await
    }

    /// A POST of events with another token and headers.
    pub(crate) async fn post_with(
        &self,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let mut request = self.client.post(format!("{}/api/v1/logs", self.url)).bearer_auth(token).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// Waits until all that is in the topic is accounted for; answers the ledger then.
    pub(crate) async fn settled(&self) -> Value {
        self.until("/api/v1/ledger", |ledger| {
            ledger["partitions"].as_array().is_some_and(|rows| rows.iter().all(|row| row["lag"] == 0))
        })
        .await
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let (_, answer) = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < SOON, "{path} still answers {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All events that a search finds, page by page.
    pub(crate) async fn search_all(&self, query: &str) -> Vec<Value> {
        let mut logs = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, page) = self.get(&format!("/api/v1/logs?limit=1000&{query}{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            logs.extend(page["logs"].as_array().expect("logs is an array").iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return logs,
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Ended already when a test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A token from the command line tool.
pub(crate) fn token(data_dir: &Path, organisation: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_logpipeline"))
        .arg("token")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--organisation", organisation])
        .args(more)
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a token is ASCII").trim().to_owned()
}

/// The sum of a field over all rows of a ledger.
pub(crate) fn total(ledger: &Value, field: &str) -> i64 {
    let rows = ledger["partitions"].as_array().expect("the ledger has rows");
    rows.iter().map(|row| row[field].as_i64().expect("a count")).sum()
}

fn client() -> reqwest::Client {
    // No https here, but the client wants a provider all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).build().expect("the client needs nothing from outside")
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the pipeline answers");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("the answer is whole");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}
