//! `hack/chaos.sh`: breaks things for a while and says what became of every event.

use anyhow::Result;
use clap::Parser;
use fault_tests::{
    load::Load,
    parts::Shape,
    run::{System, chaos},
};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// Breaks the data path on real parts, at random, and counts what became of every event. The last line is the account;
/// the exit code is 0 only when nothing is lost, doubled or out of order.
#[derive(Debug, Parser)]
struct Args {
    /// Which faults, and when; the same number gives the same plan
    #[arg(long)]
    seed: u64,
    /// How long things break, such as 120s
    #[arg(long = "for", value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    run_for: Duration,
    /// Kafka brokers, 1 or 3
    #[arg(long, default_value_t = 3)]
    brokers: u8,
    /// Organisations
    #[arg(long, default_value_t = 500)]
    organisations: usize,
    /// Clients
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let load = Load {
        clients: args.clients,
        organisations: args.organisations,
        events: None,
        pause: Duration::from_millis(50),
        padding: 0,
    };
    let system = Arc::new(System::start(Shape::of(args.brokers)).await?);
    println!("seed {}, logs in {}", args.seed, system.parts.directory().display());
    let verdict = chaos(Arc::clone(&system), args.seed, args.run_for, &load, |line| println!("{line}")).await;
    let good = verdict.as_ref().is_ok_and(fault_tests::verdict::Verdict::is_good);
    if let Some(System { parts, producers, consumers, .. }) = Arc::into_inner(system) {
        drop((producers, consumers));
        if good {
            parts.end().await?;
        } else {
            println!("database {}; logs are kept in {}", parts.name.clone(), parts.keep().display());
        }
    }
    let verdict = verdict?;
    verdict.wrong.iter().for_each(|what| println!("wrong: {what}"));
    println!("{verdict}");
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
