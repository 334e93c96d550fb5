//! The frame of a service: its help, its settings, its logs, its traces, its admin server, its end.

use crate::{
    health::Readiness,
    metrics::{HttpLayer, Metrics},
    problem::{CatchPanicLayer, catch_panic},
    server::{BindError, Drained, Limits, Server},
    shutdown,
    telemetry::{self, Format},
};
use axum::Router;
use settings::Settings;
use std::{net::SocketAddr, process::ExitCode, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Stack;

/// Environment variable with the filter of the logs.
const LOG: &str = "LOGPIPELINE_LOG";
/// Exit code when the settings are wrong: the same start cannot succeed.
const UNUSABLE: u8 = 2;

/// What a service is.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Name of the program.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What is the same for every service.
#[derive(Debug)]
pub struct Frame {
    /// The order to stop.
    pub stop: CancellationToken,
    admin: SocketAddr,
    drain_delay: Duration,
}

struct Common {
    admin: SocketAddr,
    drain_delay: Duration,
    log_format: Format,
    #[cfg(feature = "otlp")]
    traces: trace::otlp::Config,
}

impl Common {
    fn read(settings: &mut Settings) -> Common {
        Common {
            admin: settings.value(
                "LOGPIPELINE_ADMIN_LISTEN",
                "Address of /livez, /readyz and /metrics",
                "0.0.0.0:9090",
            ),
            drain_delay: settings.duration(
                "LOGPIPELINE_DRAIN_DELAY",
                "How long a stopping service still takes requests, until nobody sends it any",
                "5s",
            ),
            log_format: settings.value("LOGPIPELINE_LOG_FORMAT", "Form of the logs, json or text", "json"),
            #[cfg(feature = "otlp")]
            traces: trace::otlp::Config::read(settings),
        }
    }
}

/// Runs a service: reads its settings, tells all that is wrong with them at once, then runs it until its end.
/// To be called by `main`, and to be its answer.
pub fn main<C, F, E>(
    service: Service,
    read: impl Fn(&mut Settings) -> C,
    run: impl FnOnce(C, Frame) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    if let Some(code) = answer_arguments(service, &read) {
        return code;
    }
    let mut settings = Settings::from_environment();
    let common = Common::read(&mut settings);
    let config = read(&mut settings);
    // Asked for here so that help lists it and mistakes are told with the others; read again by the telemetry.
    settings.optional_parsed(LOG, LOG_HELP, telemetry::check_filter);
    if let Err(mistakes) = settings.finish() {
        eprintln!("{}: the settings cannot be used:\n{mistakes}", service.name);
        return ExitCode::from(UNUSABLE);
    }
    if let Err(error) = telemetry::init(LOG, common.log_format) {
        eprintln!("{}: {error}", service.name);
        return ExitCode::from(UNUSABLE);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let frame = Frame { stop: shutdown::signal(), admin: common.admin, drain_delay: common.drain_delay };
        tracing::info!(version = service.version, "{} starts", service.name);
        #[cfg(feature = "otlp")]
        let traces = send_traces(common.traces, service);
        let ended = run(config, frame).await;
        #[cfg(feature = "otlp")]
        if let Some(traces) = traces {
            traces.end().await;
        }
        ended
    });
    // Threads that wait for a server that does not answer must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => {
            tracing::info!("{} has stopped", service.name);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{} ends: {error}", service.name);
            ExitCode::FAILURE
        }
    }
}

/// A service is worth more than its traces: it runs without when they cannot be sent.
#[cfg(feature = "otlp")]
fn send_traces(config: trace::otlp::Config, service: Service) -> Option<trace::otlp::Exporting> {
    trace::otlp::start(config, service.name, service.version).unwrap_or_else(|error| {
        tracing::error!(%error, "there will be no traces");
        None
    })
}

/// What every router of a process is wrapped in, by [`Router::layer`]: requests are measured and traced, and a handler that
/// panics is answered 500, which is measured too. One layer and not two: each costs every request a box.
#[must_use]
pub fn around(metrics: &Metrics) -> Around {
    Stack::new(catch_panic(), metrics.http_layer())
}

/// See [`around`].
pub type Around = Stack<CatchPanicLayer, HttpLayer>;

const LOG_HELP: &str = "Filter of the logs, such as warn or info,store=debug; info when not set";

fn answer_arguments<C>(service: Service, read: &impl Fn(&mut Settings) -> C) -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let text = match arguments.as_slice() {
        [] => return None,
        [one] if one == "--help" || one == "-h" => help(service, read),
        [one] if one == "--version" || one == "-V" => format!("{} {}\n", service.name, service.version),
        _ => {
            eprintln!("{} takes its settings from the environment; --help lists them", service.name);
            return Some(ExitCode::from(UNUSABLE));
        }
    };
    print!("{text}");
    Some(ExitCode::SUCCESS)
}

fn help<C>(service: Service, read: &impl Fn(&mut Settings) -> C) -> String {
    let mut settings = Settings::new([]);
    read(&mut settings);
    Common::read(&mut settings);
    settings.optional_parsed(LOG, LOG_HELP, telemetry::check_filter);
    let Service { name, about, version } = service;
    format!("{name} {version}\n{about}\n\nIt is configured by environment variables:\n\n{}", settings.help())
}

impl Frame {
    /// Starts the admin server with health, metrics and `more`. It answers until [`Admin::end`], so that probes and
    /// scrapes see the end of the service too.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn admin(&self, readiness: &Readiness, metrics: Metrics, more: Router) -> Result<Admin, BindError> {
        let limits = Limits { connections: 256, drain: Duration::from_secs(1), ..Limits::default() };
        let server = Server::bind(self.admin, limits)?;
        let address = server.local_addr();
        let router = more.merge(readiness.router()).merge(metrics.router());
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(router, stop.clone()));
        tracing::info!(%address, "health and metrics");
        Ok(Admin { stop, task })
    }

    /// The order to stop taking requests: not ready as soon as the process is to stop, and cancelled after the time in
    /// which others hear of that.
    pub fn draining(&self, readiness: &Readiness) -> CancellationToken {
        let (stop, readiness, delay) = (self.stop.clone(), readiness.clone(), self.drain_delay);
        let drained = CancellationToken::new();
        let told = drained.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            readiness.drain();
            tokio::time::sleep(delay).await;
            told.cancel();
        });
        drained
    }
}

/// A running admin server.
#[derive(Debug)]
pub struct Admin {
    stop: CancellationToken,
    task: JoinHandle<Drained>,
}

impl Admin {
    /// Ends it.
    pub async fn end(self) {
        self.stop.cancel();
        // It has nothing to say that its service did not say.
        let _ = self.task.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_service_and_lists_its_variables_and_the_common_ones() {
        let service = Service { name: "logpipeline-x", about: "Does x.", version: "1.2.3" };
        let text = help(service, &|settings: &mut Settings| settings.duration("X_LINGER", "Waits", "5s"));
        for words in [
            "logpipeline-x 1.2.3\nDoes x.",
            "X_LINGER\n      Waits [default 5s]",
            "ADMIN_LISTEN",
            "LOGPIPELINE_LOG\n",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }
}
