//! Logs to standard error: compact text for people, JSON for containers.

use std::env::{self, VarError};
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        Format::Text => {
            let colour = std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
            subscriber.compact().with_ansi(colour).try_init()
        }
        Format::Json => subscriber.json().flatten_event(true).with_current_span(true).try_init(),
    };
    installed.map_err(|_| TelemetryError::AlreadySet)?;
    log_panics();
    Ok(())
}

fn filter(variable: &str, value: Result<String, VarError>) -> Result<EnvFilter, TelemetryError> {
    let value = match value {
        Ok(value) => value,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(raw)) => raw.to_string_lossy().into_owned(),
    };
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(&value).map_err(|error| {
        TelemetryError::Filter { variable: variable.to_owned(), value, reason: error.to_string() }
    })
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

    #[test]
    fn the_filter_is_info_unless_the_environment_says_otherwise() {
        let unset = filter("X_LOG", Err(VarError::NotPresent)).unwrap();
        assert_eq!(unset.max_level_hint(), Some(LevelFilter::INFO));
        let debug = filter("X_LOG", Ok("warn,store=debug".into())).unwrap();
        assert_eq!(debug.max_level_hint(), Some(LevelFilter::DEBUG));
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
