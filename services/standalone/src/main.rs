//! `logpipeline`: the whole pipeline in one process on embedded parts, and the tools that talk to one.

mod cli;
mod data_dir;
mod drain;
mod greeting;
mod run;

use clap::Parser;
use cli::{Cli, Command, TokenArgs};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match cli.command {
                None => run::run(cli.run).await.map(|()| ExitCode::SUCCESS),
                Some(Command::Token(args)) => token(&args).map(|()| ExitCode::SUCCESS),
                Some(Command::Generate(args)) => generate(args).await,
            }
        })
    });
    done.unwrap_or_else(|error| {
        eprintln!("logpipeline: {error:#}");
        ExitCode::from(2)
    })
}

fn token(args: &TokenArgs) -> anyhow::Result<()> {
    let secret = data_dir::open(&args.data_dir)?.secret;
    println!("{}", gateway::auth::Keys::new(&secret).issue(&args.organisation, &args.scope, args.valid_for));
    Ok(())
}

/// Exit code 1 says that some events were not acknowledged.
async fn generate(args: generator::GenerateArgs) -> anyhow::Result<ExitCode> {
    let summary = generator::run(args, process::shutdown::signal()).await?;
    println!("{summary}");
    Ok(if summary.all_acknowledged() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
