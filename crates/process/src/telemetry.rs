//! Logs to standard error: compact text for people, JSON for containers. Lines of a request say which trace it belongs to.

use std::env::{self, VarError};
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

mod request;

use request::{JsonOfRequest, TextOfRequest};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One compact line an event, coloured when standard error is a terminal and `NO_COLOR` is not set.
    #[default]
    Text,
    /// One JSON object a line, the event's fields at the top level.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is not a log format: use text or json")),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter in the environment does not parse.
    #[error("{variable}={value:?} is not a log filter ({reason}): use for example info or info,store=debug")]
    Filter {
        /// Name of the environment variable.
        variable: String,
        /// What it holds.
        value: String,
        /// What the parser said.
        reason: String,
    },
    /// Another subscriber was installed before.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Sends `tracing` events to standard error, filtered by the directives in the environment variable `filter_env`
/// (`info` when it is unset or empty), and logs panics the same way instead of as loose text.
///
/// Call it once, first thing in `main`.
pub fn init(filter_env: &str, format: Format) -> Result<(), TelemetryError> {
    let filter = filter(filter_env, env::var(filter_env))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => {
            let colour = std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
            lines.event_format(TextOfRequest(fmt::format().compact())).with_ansi(colour).boxed()
        }
        Format::Json => {
            let json = fmt::format().json().flatten_event(true).with_current_span(true);
            lines.json().event_format(JsonOfRequest(json)).boxed()
        }
    };
    let installed = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    installed.map_err(|_| TelemetryError::AlreadySet)?;
    log_panics();
    Ok(())
}

/// Whether a filter of the logs can be used; why not, for people.
///
/// # Errors
/// The reason.
pub fn check_filter(text: &str) -> Result<(), String> {
    let parsed = text.parse::<Targets>().map(drop);
    parsed.map_err(|error| format!("{error}; write it like info or warn,store=debug"))
}

/// Levels by target. What `EnvFilter` knows beyond that, fields of spans, costs a regular-expression engine.
fn filter(variable: &str, value: Result<String, VarError>) -> Result<Targets, TelemetryError> {
    let all_info = Targets::new().with_default(LevelFilter::INFO);
    let value = match value {
        Ok(value) if !value.trim().is_empty() => value,
        Ok(_) | Err(VarError::NotPresent) => return Ok(all_info),
        Err(VarError::NotUnicode(raw)) => raw.to_string_lossy().into_owned(),
    };
    let targets: Targets =
        value.parse().map_err(|error: tracing_subscriber::filter::ParseError| TelemetryError::Filter {
            variable: variable.to_owned(),
            value: value.clone(),
            reason: error.to_string(),
        })?;
    // Naming some targets says nothing of the others.
    let says_default = targets.default_level().is_some();
    Ok(if says_default { targets } else { targets.with_default(LevelFilter::INFO) })
}

/// A panic on standard error as plain text would break a stream of JSON lines.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread = thread.name().unwrap_or("(unnamed)"), %location, "panic: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_filter_is_info_unless_the_environment_says_otherwise() {
        let shows = |value, target, level| filter("X_LOG", value).unwrap().would_enable(target, &level);
        let unset = || Err(VarError::NotPresent);
        assert!(shows(unset(), "store", Level::INFO) && !shows(unset(), "store", Level::DEBUG));
        let some = || Ok("store=debug".to_owned());
        assert!(shows(some(), "store::writer", Level::DEBUG) && shows(some(), "topic", Level::INFO));
        let warn = || Ok("warn,store=debug".to_owned());
        assert!(shows(warn(), "store", Level::DEBUG) && !shows(warn(), "topic", Level::INFO));
    }

    #[test]
    fn a_filter_that_does_not_parse_is_named_with_its_value() {
        let error = filter("X_LOG", Ok("store=loud".into())).unwrap_err().to_string();
        assert!(error.contains("X_LOG=\"store=loud\""), "{error}");
    }

    #[test]
    fn formats_parse_from_their_names() {
        assert_eq!("json".parse(), Ok(Format::Json));
        assert_eq!("text".parse(), Ok(Format::Text));
        assert!("xml".parse::<Format>().unwrap_err().contains("use text or json"));
    }
}
