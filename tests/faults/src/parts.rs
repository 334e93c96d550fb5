//! Kafka and PostgreSQL, by the scripts in `hack/`.

use crate::proxy::{Mode, Proxy};
use anyhow::{Context, Result, bail};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{net::TcpStream, process::Command};
use topic::kafka::{Config, TopicSpec, ensure_topic};

/// Partitions of the topic.
pub const PARTITIONS: i32 = 6;

/// What a system is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Number of brokers, 1 or 3.
    pub brokers: u8,
    /// Copies of each record.
    pub copies: u8,
    /// Settings of the topic of events, as `retention.bytes`.
    pub settings: &'static [(&'static str, &'static str)],
    /// Variables of the consumers' environment beside the usual ones.
    pub consumer: &'static [(&'static str, &'static str)],
    /// And of all services'.
    pub services: &'static [(&'static str, &'static str)],
}

impl Shape {
    /// Each record on every broker, and all else as usual.
    pub fn of(brokers: u8) -> Shape {
        Shape { brokers, copies: brokers, settings: &[], consumer: &[], services: &[] }
    }
}

/// A topic and a database of their own on running servers.
pub struct Parts {
    /// Name of both.
    pub name: String,
    /// Brokers to begin with, past the proxies.
    pub bootstrap_servers: String,
    /// What they were to be like.
    pub shape: Shape,
    /// Stands between the services and the database.
    pub database_proxy: Proxy,
    /// Stand between the services and the brokers, one each.
    pub broker_proxies: Vec<Proxy>,
    database_port: u16,
    directory: tempfile::TempDir,
}

impl Parts {
    /// Starts the servers if they do not run, and makes the topic, its dead-letter topic and the database.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn start(shape: Shape) -> Result<Parts> {
        let kafka = hack("kafka.sh", &["up", "--brokers", &shape.brokers.to_string()]).await?;
        // What an earlier run left frozen when it failed.
        for broker in 1..=shape.brokers {
            hack("kafka.sh", &["cont", &broker.to_string()]).await?;
        }
        hack("postgres.sh", &["cont"]).await?;
        let bootstrap_servers = variable(&kafka, "LOGPIPELINE_TEST_KAFKA")?;
        let broker_proxies = broker_proxies(&kafka).await?;
        let url = hack("postgres.sh", &["up"]).await?;
        let database_port = url.trim().rsplit_once(':').and_then(|(_, rest)| rest.split('/').next());
        let database_port: u16 = database_port.context("the URL of the database has a port")?.parse()?;
        let name = format!("faults_{}", uuid::Uuid::now_v7().simple());
        let database = SocketAddr::from(([127, 0, 0, 1], database_port));
        // A port that no outgoing connection gets: it is given up for a moment whenever the network is cut.
        let proxied = SocketAddr::from(([127, 0, 0, 1], database_port + 1_000));
        let database_proxy = Proxy::start(proxied, database)?;
        let directory = tempfile::tempdir()?;
        let parts = Parts {
            name,
            bootstrap_servers,
            shape,
            database_proxy,
            broker_proxies,
            database_port,
            directory,
        };
        parts.admin_sql(&format!("CREATE DATABASE {}", parts.name)).await?;
        parts.make_topics().await?;
        Ok(parts)
    }

    async fn make_topics(&self) -> Result<()> {
        let replication = i32::from(self.shape.copies);
        // One copy may be away.
        let in_sync = if replication > 2 { "2" } else { "1" };
        let settings = |more: &[(&str, &str)]| {
            let all = [("min.insync.replicas", in_sync)].into_iter().chain(more.iter().copied());
            all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let of_events =
            TopicSpec { partitions: PARTITIONS, replication, settings: settings(self.shape.settings) };
        let of_letters = TopicSpec { partitions: 1, replication, settings: settings(&[]) };
        for (topic, spec) in [(self.topic(), of_events), (self.dead_letter_topic(), of_letters)] {
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
        format!("postgres://logpipeline:logpipeline@{}/{}", self.database_proxy.address(), self.name)
    }

    /// Brokers to begin with, through the proxies.
    pub fn proxied_servers(&self) -> String {
        let addresses: Vec<String> = self.broker_proxies.iter().map(|of| of.address().to_string()).collect();
        addresses.join(",")
    }

    /// Lets all of the network pass.
    pub fn reconnect(&self) {
        self.database_proxy.set(Mode::Pass);
        self.broker_proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
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

    /// `hack/kafka.sh VERB` for all brokers at once: none can begin without others.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn all_brokers(&self, verb: &str) -> Result<()> {
        let numbers: Vec<String> = (1..=self.shape.brokers).map(|number| number.to_string()).collect();
        let arguments: Vec<&str> = [verb].into_iter().chain(numbers.iter().map(String::as_str)).collect();
        hack("kafka.sh", &arguments).await.map(drop)
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

    /// Changes how transactions are isolated that do not say it, for all connections from now on: those that are there
    /// are ended.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn default_isolation(&self, change: &str) -> Result<()> {
        self.sql(&format!("ALTER DATABASE {} {change}", self.name)).await?;
        let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.sql(end_all).await.map(drop)
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

    /// Deletes the topics too, which else go with their cluster.
    ///
    /// # Errors
    /// When the brokers do not do it.
    pub async fn delete_topics(&self) -> Result<()> {
        hack("kafka.sh", &["delete", &self.topic(), &self.dead_letter_topic()]).await.map(drop)
    }

    /// Deletes the database.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn end(self) -> Result<()> {
        let ours = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{}' AND backend_type = 'client backend'",
            self.name
        );
        self.admin_sql(&ours).await?;
        // Not by force, which fails when the server itself vacuums there; that gives way when it is asked.
        self.admin_sql(&format!("DROP DATABASE {}", self.name)).await
    }
}

/// A proxy before each broker, at the address that the broker tells clients.
async fn broker_proxies(kafka: &str) -> Result<Vec<Proxy>> {
    let addresses = |name| -> Result<Vec<SocketAddr>> {
        variable(kafka, name)?.split(',').map(|address| Ok(address.parse()?)).collect()
    };
    let brokers = addresses("LOGPIPELINE_TEST_KAFKA_BEHIND_PROXY")?;
    let told = addresses("LOGPIPELINE_TEST_KAFKA_PROXY")?;
    for broker in &brokers {
        TcpStream::connect(broker).await.with_context(|| {
            format!("no broker listens at {broker} for its proxy: run hack/kafka.sh down, the cluster is of an older version")
        })?;
    }
    told.iter().zip(&brokers).map(|(told, broker)| Proxy::start(*told, *broker)).collect()
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
