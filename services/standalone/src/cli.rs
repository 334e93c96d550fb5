//! The command line.

use clap::{Args, Parser, Subcommand};
use gateway::auth::{Organizations, PIPELINE, READ, WRITE};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A log pipeline in one process: send logs over HTTP, search and watch them in a browser.
///
/// Without a command it runs the pipeline until Ctrl-C and keeps everything in one directory.
#[derive(Debug, Parser)]
#[command(name = "logpipeline", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints a bearer token for a local pipeline
    Token(TokenArgs),
    /// Sends logs to a pipeline: made up at a steady rate, or replayed from a file
    Generate(generator::GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Address of the API and the web page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Directory that holds the topic, the store and the secret; made when missing
    #[arg(long, value_name = "DIR", default_value = "logpipeline-data")]
    pub(crate) data_dir: PathBuf,
    /// Events a second that the pipeline sends itself to have something to show; 0 for none. Without this option:
    /// 20 on a terminal with a new data directory, else none
    #[arg(long, value_name = "RATE")]
    pub(crate) demo: Option<u32>,
    /// GiB on disk for events waiting to be stored; beyond it new ones are answered 503
    #[arg(long, value_name = "GIB", default_value_t = 8)]
    pub(crate) topic_gib: u64,
    /// GiB on disk for stored events; beyond it the oldest are deleted
    #[arg(long, value_name = "GIB", default_value_t = 16)]
    pub(crate) store_gib: u64,
    /// JSON file of limits for each organisation, read again when it changes; without it nothing is limited
    #[arg(long, value_name = "FILE")]
    pub(crate) rate_limits: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Data directory of the pipeline
    #[arg(long, value_name = "DIR", default_value = "logpipeline-data")]
    pub(crate) data_dir: PathBuf,
    /// Organisation whose logs the token writes and reads; `*` for any
    #[arg(long, visible_alias = "organization", value_name = "ORG")]
    pub(crate) organisation: Organizations,
    /// What the token may do, separated by commas: `logs:read`, `logs:write`, and `pipeline:read` to see what all
    /// organisations together have written
    #[arg(long, value_name = "SCOPES", default_value = "logs:read,logs:write,pipeline:read", value_parser = scopes)]
    pub(crate) scope: String,
    /// How long the token is good for, such as 30m, 1h, 7d
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) valid_for: Duration,
}

/// Scopes as they stand in a token: separated by spaces (RFC 8693, section 4.2).
fn scopes(text: &str) -> Result<String, String> {
    let known = [READ, WRITE, PIPELINE];
    let scopes: Vec<&str> = text.split([',', ' ']).filter(|scope| !scope.is_empty()).collect();
    match scopes.iter().find(|scope| !known.contains(scope)) {
        Some(unknown) => Err(format!("`{unknown}` is no scope; use {}", known.join(" or "))),
        None if scopes.is_empty() => Err(format!("name at least one of {}", known.join(", "))),
        None => Ok(scopes.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scopes_are_checked() {
        assert_eq!(scopes("logs:read,logs:write").unwrap(), "logs:read logs:write");
        assert_eq!(scopes("pipeline:read").unwrap(), "pipeline:read");
        assert!(scopes("logs:delete").unwrap_err().contains("`logs:delete`"));
    }
}
