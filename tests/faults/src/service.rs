//! The product's programs as processes, brought back when they end, as Kubernetes would.

use crate::parts::Parts;
use anyhow::{Context, Result};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// How soon a program that ended is started again.
const RESTART: Duration = Duration::from_millis(500);
/// How long a producer waits for the brokers: longer than they need to agree on another leader, shorter than a client's
/// patience.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// At this moment.
    pub now: u64,
    /// The most since the process began.
    pub most: u64,
}

/// A program that runs as long as this value lives.
pub struct Service {
    /// What its log is named by.
    pub name: String,
    log: PathBuf,
    state: Arc<Mutex<State>>,
    supervisor: JoinHandle<()>,
}

struct State {
    command: Command,
    child: Option<Child>,
    wanted: bool,
    /// Whether its next end is our doing.
    killed: bool,
    ended_by_itself: Vec<String>,
}

impl Service {
    /// A producer that listens at `port`.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn producer(parts: &Parts, port: u16) -> Result<Service> {
        let name = format!("producer-{port}");
        let log = log_of(parts, &name);
        let mut command = program("logpipeline-producer", parts, &log)?;
        command.env("LOGPIPELINE_LISTEN", format!("127.0.0.1:{port}"));
        command.env("LOGPIPELINE_GATEWAY_KEY", crate::load::GATEWAY_KEY);
        command.env("LOGPIPELINE_ACK_TIMEOUT", humantime::format_duration(ACK_TIMEOUT).to_string());
        Service::start(name, log, command)
    }

    /// A consumer.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn consumer(parts: &Parts, number: u16) -> Result<Service> {
        let name = format!("consumer-{number}");
        let log = log_of(parts, &name);
        let mut command = program("logpipeline-consumer", parts, &log)?;
        command
            .env("LOGPIPELINE_DATABASE_URL", parts.database_url())
            .env("LOGPIPELINE_KAFKA_DEAD_LETTER_TOPIC", parts.dead_letter_topic())
            .env("LOGPIPELINE_KAFKA_GROUP", &parts.name)
            .env("LOGPIPELINE_DATABASE_ANSWER_TIMEOUT", "6s")
            .env("LOGPIPELINE_DATABASE_STATEMENT_TIMEOUT", "5s")
            .envs(parts.shape.consumer.iter().copied());
        Service::start(name, log, command)
    }

    /// A gateway that listens at `port`, before the producer at `producer`, with more settings.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn gateway(parts: &Parts, port: u16, producer: &str, settings: &[(&str, &str)]) -> Result<Service> {
        let name = format!("gateway-{port}");
        let log = log_of(parts, &name);
        let mut command = program("logpipeline-gateway", parts, &log)?;
        command
            .env("LOGPIPELINE_LISTEN", format!("127.0.0.1:{port}"))
            .env("LOGPIPELINE_GATEWAY_KEY", crate::load::GATEWAY_KEY)
            .env("LOGPIPELINE_JWT_SECRET", crate::client::JWT_SECRET)
            .env("LOGPIPELINE_PRODUCER_URL", producer)
            .env("LOGPIPELINE_CONSUMER_URL", producer)
            .env("LOGPIPELINE_DATABASE_URL", parts.database_url())
            .envs(settings.iter().copied());
        Service::start(name, log, command)
    }

    fn start(name: String, log: PathBuf, command: Command) -> Result<Service> {
        let state = State { command, child: None, wanted: true, killed: false, ended_by_itself: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        lock(&state).spawn().with_context(|| name.clone())?;
        let supervisor = tokio::spawn(supervise(Arc::clone(&state)));
        Ok(Service { name, log, state, supervisor })
    }

    /// SIGKILL; it comes back.
    pub fn kill(&self) {
        let mut state = lock(&self.state);
        state.killed = true;
        if let Some(child) = &mut state.child {
            let _ = child.kill();
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        if let Some(child) = &lock(&self.state).child {
            let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        }
    }

    /// SIGTERM; it does not come back.
    pub fn terminate(&self) {
        lock(&self.state).wanted = false;
        self.signal("TERM");
    }

    /// Starts it again after [`Service::terminate`].
    pub fn want(&self) {
        lock(&self.state).wanted = true;
    }

    /// Resident memory, now and at most since it was started; `None` when it does not run.
    pub fn memory(&self) -> Option<Memory> {
        let id = lock(&self.state).child.as_ref().map(Child::id)?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let kib = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Memory { now: kib("VmRSS:")? << 10, most: kib("VmHWM:")? << 10 })
    }

    /// Lines of its log that hold these words.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn said(&self, words: &str) -> Result<Vec<String>> {
        let log = std::fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(log.lines().filter(|line| line.contains(words)).map(str::to_owned).collect())
    }

    /// Where it answers `/metrics` and `/readyz` since it was started last.
    ///
    /// # Errors
    /// When it has not said so yet.
    pub fn admin(&self) -> Result<String> {
        let told = self.said("health and metrics")?;
        let address = told.last().and_then(|line| line.split_once("address=")).map(|(_, rest)| rest.trim());
        Ok(address.with_context(|| format!("{} has not said where its metrics are", self.name))?.to_owned())
    }

    /// How it ended each time that was not our doing: none of these should be.
    pub fn ended_by_itself(&self) -> Vec<String> {
        lock(&self.state).ended_by_itself.clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.supervisor.abort();
        let mut state = lock(&self.state);
        state.wanted = false;
        if let Some(child) = &mut state.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl State {
    fn spawn(&mut self) -> Result<()> {
        self.killed = false;
        self.child = Some(self.command.spawn()?);
        Ok(())
    }

    /// Looks whether it has ended; whether it is to be started.
    fn look(&mut self) -> bool {
        let Some(child) = &mut self.child else { return self.wanted };
        let Ok(Some(status)) = child.try_wait() else { return false };
        if self.wanted && !self.killed {
            self.ended_by_itself.push(status.to_string());
        }
        self.child = None;
        self.wanted
    }
}

async fn supervise(state: Arc<Mutex<State>>) {
    loop {
        sleep(Duration::from_millis(50)).await;
        if !lock(&state).look() {
            continue;
        }
        sleep(RESTART).await;
        let mut state = lock(&state);
        if state.wanted && state.child.is_none() {
            // Tried again at the next look.
            let _ = state.spawn();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_of(parts: &Parts, name: &str) -> PathBuf {
    parts.directory().join(format!("{name}.log"))
}

fn program(name: &str, parts: &Parts, log: &Path) -> Result<Command> {
    let path = binary(name)?;
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(path);
    command
        .env("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", parts.proxied_servers())
        .env("LOGPIPELINE_KAFKA_TOPIC", parts.topic())
        .env("LOGPIPELINE_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LOGPIPELINE_DRAIN_DELAY", "0s")
        .env("LOGPIPELINE_LOG_FORMAT", "text")
        .envs(parts.shape.services.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// A program of the workspace: in `LOGPIPELINE_BIN_DIR`, or beside our own.
fn binary(name: &str) -> Result<PathBuf> {
    let directory = match std::env::var_os("LOGPIPELINE_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let own = std::env::current_exe()?;
            // Tests are in `deps`, below the programs.
            let beside = own.parent().context("a program is in a directory")?;
            if beside.ends_with("deps") {
                beside.parent().map(Path::to_owned)
            } else {
                Some(beside.to_owned())
            }
            .context("a program is in a directory")?
        }
    };
    let path = directory.join(name);
    path.is_file().then_some(()).with_context(|| {
        let crate_name = name.trim_start_matches("logpipeline-");
        format!("{} is missing: cargo build -p {crate_name} --features service", path.display())
    })?;
    Ok(path)
}
