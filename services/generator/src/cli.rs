//! The command line of `generate`.

use crate::pace::Burst;
use clap::{Args, ValueEnum};
use record::{OrganizationId, limits};
use std::{path::PathBuf, time::Duration};

/// Events a request may have; the pipeline takes no more.
const MOST_EVENTS: u64 = 10_000;

/// What to send, where, and how fast.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Address of the pipeline, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Bearer token that may write logs; `logpipeline token` makes one
    #[arg(long, env = "LOGPIPELINE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: String,
    /// Events a second; 0 for as fast as the pipeline answers. Default: 100, for --replay 0
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long to send, such as 60s or 5m; a file that is not at its end by then counts as not sent. Default: until
    /// Ctrl-C or the end of the file
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) run_for: Option<Duration>,
    /// Bursts: half of the events of each period at so many times the rate, such as 5:10s. Default: a steady rate
    #[arg(long, value_name = "FACTOR:PERIOD", value_parser = burst)]
    pub(crate) burst: Option<Burst>,
    /// Sends the lines of a file, one event a line; `-` is standard input. Default: made-up events
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Service of all replayed lines. Default: the one a line names, else the file's name
    #[arg(long, value_name = "NAME", requires = "replay", value_parser = service)]
    pub(crate) service: Option<String>,
    /// Organisation that every event names. Default: none, events belong to the token's organisation
    #[arg(long, visible_alias = "organization", value_name = "NAME")]
    pub(crate) organisation: Option<OrganizationId>,
    /// Spreads made-up events over org-001 to org-N; needs a token for `*`. Default: the token's organisation only
    #[arg(long, visible_alias = "organizations", value_name = "N", conflicts_with_all = ["organisation", "replay"],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) organisations: Option<u32>,
    /// Skew of that spread: the k-th organisation has a share in proportion to 1/k^S (Zipf); 0 is even
    #[arg(long, value_name = "S", requires = "organisations", default_value = "0", value_parser = skew)]
    pub(crate) skew: f64,
    /// Seed of made-up events, for the same ones again but for ids and times. Default: a random one
    #[arg(long, value_name = "N", conflicts_with = "replay")]
    pub(crate) seed: Option<u64>,
    /// Events in a request at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=MOST_EVENTS))]
    pub(crate) batch: u64,
    /// Requests in flight at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) connections: u16,
    /// Compression of requests
    #[arg(long, value_name = "HOW", default_value = "none")]
    pub(crate) compression: Compression,
    /// How long events are tried again before they count as failed, which ends a replay; such as 60s, 0s for no second
    /// try
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) give_up_after: Duration,
    /// File to which the id of each acknowledged event is appended, one a line. Default: none
    #[arg(long, value_name = "FILE")]
    pub(crate) acked_file: Option<PathBuf>,
    /// Shows no progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1e9)
}

fn skew(text: &str) -> Result<f64, String> {
    number(text, 0.0..=10.0)
}

fn number(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("it is no number from {} to {}", range.start(), range.end())),
    }
}

fn burst(text: &str) -> Result<Burst, String> {
    let (factor, period) = text.split_once(':').ok_or("write FACTOR:PERIOD, such as 5:10s")?;
    let factor = number(factor, 1.0..=1_000.0).map_err(|error| format!("FACTOR: {error}"))?;
    let period = humantime::parse_duration(period).map_err(|error| format!("PERIOD: {error}"))?;
    if period < Duration::from_millis(1) {
        return Err("PERIOD: it is at least 1ms".into());
    }
    Ok(Burst { factor, period })
}

fn service(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err("a service has a name without control characters".into());
    }
    if text.len() > limits::SERVICE_BYTES {
        return Err(format!("a service's name has at most {} bytes", limits::SERVICE_BYTES));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        generate: GenerateArgs,
    }

    fn parse(more: &[&str]) -> Result<GenerateArgs, String> {
        let args = ["generate", "--to", "http://127.0.0.1:1", "--token", "t"].iter().chain(more);
        Cli::try_parse_from(args).map(|cli| cli.generate).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent_and_every_option_is_explained() {
        let command = Cli::command();
        command.clone().debug_assert();
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{} has no help", arg.get_id());
        }
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for wrong in [
            &["--organisations", "3", "--organisation", "acme"][..],
            &["--organisations", "3", "--replay", "f"],
            &["--skew", "1"],
            &["--service", "s"],
            &["--seed", "1", "--replay", "f"],
            &["--rate", "-1"],
            &["--rate", "NaN"],
            &["--batch", "10001"],
            &["--connections", "0"],
            &["--organisation", "a b"],
            &["--burst", "5"],
            &["--burst", "0.5:1s"],
            &["--burst", "5:0s"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn values_are_read_with_their_units() {
        let args = parse(&["--for", "5m", "--give-up-after", "0s", "--burst", "5:10s", "--skew", "1.5"]);
        assert!(args.unwrap_err().contains("--organisations"));
        let args = parse(&["--for", "5m", "--give-up-after", "0s", "--burst", "5:10s"]).unwrap();
        assert_eq!(args.run_for, Some(Duration::from_secs(300)));
        assert_eq!(args.give_up_after, Duration::ZERO);
        assert_eq!(args.burst, Some(Burst { factor: 5.0, period: Duration::from_secs(10) }));
        assert_eq!(parse(&["--organizations", "7", "--skew", "1"]).unwrap().organisations, Some(7));
    }
}
