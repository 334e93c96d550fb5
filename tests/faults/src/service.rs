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

/// A program that runs as long as this value lives.
pub struct Service {
    /// What its log is named by.
    pub name: String,
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
        let mut command = program("logpipeline-producer", parts, &name)?;
        command.env("LOGPIPELINE_LISTEN", format!("127.0.0.1:{port}"));
        // Longer than the brokers need to agree on another leader, shorter than a client's patience.
        command.env("LOGPIPELINE_ACK_TIMEOUT", "20s");
        Service::start(name, command)
    }

    /// A consumer.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn consumer(parts: &Parts, number: u16) -> Result<Service> {
        let name = format!("consumer-{number}");
        let mut command = program("logpipeline-consumer", parts, &name)?;
        command
            .env("LOGPIPELINE_DATABASE_URL", parts.database_url())
            .env("LOGPIPELINE_KAFKA_DEAD_LETTER_TOPIC", parts.dead_letter_topic())
            .env("LOGPIPELINE_KAFKA_GROUP", &parts.name)
            .env("LOGPIPELINE_DATABASE_ANSWER_TIMEOUT", "6s")
            .env("LOGPIPELINE_DATABASE_STATEMENT_TIMEOUT", "5s");
        Service::start(name, command)
    }

    fn start(name: String, command: Command) -> Result<Service> {
        let state = State { command, child: None, wanted: true, killed: false, ended_by_itself: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        lock(&state).spawn().with_context(|| name.clone())?;
        let supervisor = tokio::spawn(supervise(Arc::clone(&state)));
        Ok(Service { name, state, supervisor })
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

    /// Resident memory now, in KiB; 0 when it does not run.
    pub fn resident_kib(&self) -> u64 {
        let id = lock(&self.state).child.as_ref().map(Child::id);
        let status = id.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let line = status.as_deref().and_then(|text| text.lines().find(|line| line.starts_with("VmRSS")));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
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

fn program(name: &str, parts: &Parts, log: &str) -> Result<Command> {
    let path = binary(name)?;
    let log = File::options().create(true).append(true).open(parts.directory().join(format!("{log}.log")))?;
    let mut command = Command::new(path);
    command
        .env("LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS", &parts.bootstrap_servers)
        .env("LOGPIPELINE_KAFKA_TOPIC", parts.topic())
        .env("LOGPIPELINE_ADMIN_LISTEN", "127.0.0.1:0")
        .env("LOGPIPELINE_DRAIN_DELAY", "0s")
        .env("LOGPIPELINE_LOG_FORMAT", "text")
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
