//! A run: from its source over its workers to its summary.

use crate::{
    Error, GenerateArgs, Summary,
    acked::AckedFile,
    client::Client,
    deliver::Post,
    halt::{Cause, Halt},
    pause::Pause,
    plan::{Load, Plan},
    progress,
    rng::Rng,
    source::Source,
    stats::Stats,
    summary::Ended,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long the answers to requests in flight are waited for when a run ends early.
const GRACE: Duration = Duration::from_secs(10);

/// Sends what the command line says, until its end or until `stop`. Says on standard error why events were not
/// acknowledged.
///
/// # Errors
/// When nothing can be sent: the message says what to change.
pub async fn run(args: GenerateArgs, stop: CancellationToken) -> Result<Summary, Error> {
    let quiet = args.quiet;
    let summary = carry_out(&Plan::of(args)?, quiet, stop).await?;
    for line in summary.explanation() {
        eprintln!("{line}");
    }
    Ok(summary)
}

/// Sends made-up events at `rate` a second until `stop`, and through every outage. With `organisations` the events
/// name so many organisations, which needs a token for any; without it they belong to the token's. Shows nothing.
///
/// # Errors
/// When nothing can be sent, such as with a token that is refused.
pub async fn demo(
    url: String,
    token: String,
    rate: f64,
    organisations: Option<usize>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let summary = carry_out(&Plan::demo(url, token, rate, organisations), true, stop).await?;
    match summary.ended {
        Ended::Hopeless(reason) => Err(Error::Refused(reason)),
        _ => Ok(()),
    }
}

async fn carry_out(plan: &Plan, quiet: bool, stop: CancellationToken) -> Result<Summary, Error> {
    let post = Arc::new(post(plan, &stop)?);
    let source = plan.source().await?;
    let total_bytes = source.total_bytes();
    let source = Arc::new(Mutex::new(source));
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections {
        workers.spawn(work(Arc::clone(&post), Arc::clone(&source)));
    }
    tokio::select! {
        () = all(&mut workers) => {}
        () = patience(&post.halt) => {}
        () = progress::show(&post, total_bytes), if !quiet => {}
    }
    workers.shutdown().await;
    post.stats.abandon("the run ended before there was an answer");
    let post = Arc::into_inner(post).expect("the workers have ended");
    let source = Arc::into_inner(source).expect("the workers have ended").into_inner();
    finish(plan, post, source, &stop)
}

fn post(plan: &Plan, stop: &CancellationToken) -> Result<Post, Error> {
    let acked = match &plan.acked_file {
        Some(path) => {
            let failed = |error| Error::AckedFile { path: path.clone(), error };
            Some(AckedFile::open(path).map_err(failed)?)
        }
        None => None,
    };
    Ok(Post {
        client: Client::new(&plan.to, &plan.token, plan.compression)?,
        pause: Pause::new(),
        halt: Halt::new(stop),
        stats: Stats::new(),
        acked,
        give_up_after: plan.give_up_after,
        all_or_none: matches!(plan.load, Load::Replay { .. }),
        jitter: std::sync::Mutex::new(Rng::from_entropy()),
    })
}

/// Takes batches and delivers them, one after the other.
async fn work(post: Arc<Post>, source: Arc<Mutex<Source>>) {
    loop {
        let next = async {
            let mut source = source.lock().await;
            post.pause.passed().await;
            let due = source.next().await?;
            post.stats.taken(&due);
            Some(due)
        };
        let due = tokio::select! {
            biased;
            () = post.halt.halted() => return,
            due = next => due,
        };
        let Some(due) = due else { return };
        post.deliver(due).await;
    }
}

/// Waits for all workers; a panic of one is passed on.
async fn all(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Ends when a halted run has had time for what was in flight.
async fn patience(halt: &Halt) {
    halt.halted().await;
    sleep(GRACE).await;
}

fn finish(plan: &Plan, post: Post, source: Source, stop: &CancellationToken) -> Result<Summary, Error> {
    let behind = source.behind();
    let replay = source.into_replay_end();
    let read = replay.as_ref().map(|replay| replay.progress);
    let ended = match (post.halt.into_cause(), replay) {
        (Some(Cause::AckedFile(error)), _) => {
            return Err(Error::AckedFile { path: plan.acked_file.clone().unwrap_or_default(), error });
        }
        (Some(Cause::Hopeless(reason)), _) => Ended::Hopeless(reason),
        (Some(Cause::GivenUp(reason)), _) => Ended::GivenUp(reason),
        (None, Some(replay)) => match replay.error {
            Some(error) => Ended::Unreadable(error.to_string()),
            None if replay.complete => Ended::Complete,
            None if stop.is_cancelled() => Ended::Stopped,
            None => Ended::TimeOver,
        },
        (None, None) if stop.is_cancelled() => Ended::Stopped,
        (None, None) => Ended::Complete,
    };
    Ok(Summary::new(&post.stats.look(), ended, behind, read))
}
