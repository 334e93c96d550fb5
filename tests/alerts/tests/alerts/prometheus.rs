//! A Prometheus that scrapes the services under test, with the alerts of a pipeline whose problems are told within seconds.

use monitoring::{Thresholds, rules};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How often it scrapes.
const INTERVAL: &str = "1s";

/// As in production but for the times; and 200 ms are little on a machine that compiles meanwhile.
pub(crate) fn thresholds() -> Thresholds {
    Thresholds {
        latency_seconds: 0.5,
        window_seconds: 10,
        slow_seconds: 6,
        fast_seconds: 2,
        retention_seconds: 60,
        ..Thresholds::default()
    }
}

/// A running Prometheus.
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// One that scrapes these: component and address.
    pub(crate) fn start(folder: &Path, port: u16, targets: &[(&str, String)]) -> Prometheus {
        let rules = serde_json::to_string(&rules(&thresholds(), "")).unwrap();
        // JSON is YAML.
        std::fs::write(folder.join("rules.yaml"), rules).unwrap();
        let targets: Vec<String> =
            targets.iter().map(|(name, address)| format!("{name}={address}")).collect();
        let config = hack(&[&["config".to_owned()], &targets[..]].concat(), &folder.join("rules.yaml"));
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let program = PathBuf::from(hack(&["path".to_owned()], Path::new("")).trim()).join("prometheus");
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let http = fault_tests::load::http();
        Prometheus { process, url: format!("http://127.0.0.1:{port}"), http }
    }

    /// Names of the alerts that are firing, with what tells them apart.
    pub(crate) async fn firing(&self) -> Option<BTreeSet<String>> {
        let answer = self.get("alerts", &[]).await?;
        let alerts = answer["data"]["alerts"].as_array()?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect()
    }

    /// The alerts as they are, for people.
    pub(crate) async fn alerts(&self) -> Value {
        self.get("alerts", &[]).await.unwrap_or_default()["data"]["alerts"].clone()
    }

    /// What an expression finds; the error of Prometheus when it has one.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("query", &[("query", expression)]).await.ok_or("no answer")?;
        match answer["data"]["result"].as_array() {
            Some(found) => Ok(found.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{what}", self.url), query).ok()?;
        let answer = self.http.get(url).timeout(Duration::from_secs(5)).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hack(arguments: &[String], rules: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/prometheus.sh");
    let mut command = Command::new(script);
    command.args(arguments).env("LOGPIPELINE_RULES", rules).env("LOGPIPELINE_INTERVAL", INTERVAL);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
