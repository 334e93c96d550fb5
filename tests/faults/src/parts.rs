//! Kafka and PostgreSQL, by the scripts in `hack/`.

use crate::proxy::Proxy;
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;
use topic::kafka::{Config, TopicSpec, ensure_topic};

/// Partitions of the topic.
pub const PARTITIONS: i32 = 6;

/// A topic and a database of their own on running servers.
pub struct Parts {
    /// Name of both.
    pub name: String,
    /// Brokers to begin with.
    pub bootstrap_servers: String,
    /// Number of brokers.
    pub brokers: u8,
    /// Stands between the services and the database.
    pub proxy: Proxy,
    database_port: u16,
    directory: tempfile::TempDir,
}

impl Parts {
    /// Starts the servers if they do not run, and makes the topic, its dead-letter topic and the database.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn start(brokers: u8) -> Result<Parts> {
        let kafka = hack("kafka.sh", &["up", "--brokers", &brokers.to_string()]).await?;
        let bootstrap_servers = variable(&kafka, "LOGPIPELINE_TEST_KAFKA")?;
        let url = hack("postgres.sh", &["up"]).await?;
        let database_port = url.trim().rsplit_once(':').and_then(|(_, rest)| rest.split('/').next());
        let database_port = database_port.context("the URL of the database has a port")?.parse()?;
        let name = format!("faults_{}", uuid::Uuid::now_v7().simple());
        let proxy = Proxy::start(format!("127.0.0.1:{database_port}").parse()?).await?;
        let directory = tempfile::tempdir()?;
        let parts = Parts { name, bootstrap_servers, brokers, proxy, database_port, directory };
        parts.admin_sql(&format!("CREATE DATABASE {}", parts.name)).await?;
        parts.make_topics().await?;
        Ok(parts)
    }

    async fn make_topics(&self) -> Result<()> {
        let copies = i32::from(self.brokers.min(3));
        let in_sync = if copies > 1 { "2" } else { "1" };
        let settings = vec![("min.insync.replicas".to_owned(), in_sync.to_owned())];
        for (topic, partitions) in [(self.topic(), PARTITIONS), (self.dead_letter_topic(), 1)] {
            let spec = TopicSpec { partitions, replication: copies, settings: settings.clone() };
            ensure_topic(&Config::new(&self.bootstrap_servers, topic), &spec).await?;
        }
        Ok(())
    }

    /// Topic of the events.
    pub fn topic(&self) -> String {
        format!("{}-logs", self.name)
    }

    /// Topic of the dead letters.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}-logs-dlq", self.name)
    }

    /// The database, through the proxy.
    pub fn database_url(&self) -> String {
        format!("postgres://logpipeline:logpipeline@{}/{}", self.proxy.address(), self.name)
    }

    /// Where logs of services go.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the directory for whoever looks for a cause, and answers where it is.
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// `hack/kafka.sh VERB N`.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn broker(&self, verb: &str, number: u8) -> Result<()> {
        hack("kafka.sh", &[verb, &number.to_string()]).await.map(drop)
    }

    /// `hack/postgres.sh VERB`.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn database(&self, verb: &str) -> Result<()> {
        hack("postgres.sh", &[verb]).await.map(drop)
    }

    /// Rows of a query, columns separated by `|`; past the proxy.
    ///
    /// # Errors
    /// When the database refuses it or does not answer.
    pub async fn sql(&self, query: &str) -> Result<Vec<String>> {
        self.psql(&self.name, query).await
    }

    async fn admin_sql(&self, query: &str) -> Result<()> {
        self.psql("logpipeline", query).await.map(drop)
    }

    async fn psql(&self, database: &str, query: &str) -> Result<Vec<String>> {
        let url = format!("postgres://logpipeline:logpipeline@127.0.0.1:{}/{database}", self.database_port);
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--command",
        ]);
        psql.arg(query).arg(url).stdin(Stdio::null()).kill_on_drop(true);
        let output = psql.output().await.context("psql")?;
        if !output.status.success() {
            bail!("{query}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Deletes the database. Topics go with their cluster.
    ///
    /// # Errors
    /// When somebody still uses it.
    pub async fn end(self) -> Result<()> {
        self.admin_sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

async fn hack(script: &str, arguments: &[&str]) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack").join(script);
    let mut command = Command::new(path);
    // Brokers and a database apart from those that other tests use: these break.
    for (variable, port) in [("LOGPIPELINE_KAFKA_PORT", "19392"), ("LOGPIPELINE_POSTGRES_PORT", "25433")] {
        if std::env::var_os(variable).is_none() {
            command.env(variable, port);
        }
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("hack/{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The value of `NAME=value` or `export NAME=value`.
fn variable(text: &str, name: &str) -> Result<String> {
    let assignment = text.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix(name));
    let value =
        assignment.and_then(|rest| rest.strip_prefix('=')).map(|value| value.trim_matches(['\'', '"']));
    Ok(value.with_context(|| format!("{name} is not in {text:?}"))?.to_owned())
}
