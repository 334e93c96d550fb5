//! The order to stop, as it comes from a terminal (SIGINT) or from Kubernetes (SIGTERM).

use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio_util::sync::CancellationToken;

/// Exit code when a second signal ends the process at once: 128 + SIGINT, as shells report it.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled on the first SIGINT or SIGTERM. A second signal ends the process at once with code 130.
///
/// Call it inside a Tokio runtime. From this call on the signals no longer end the process by themselves.
#[must_use]
pub fn signal() -> CancellationToken {
    let token = CancellationToken::new();
    match (listen(SignalKind::interrupt()), listen(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => {
            tokio::spawn(watch(interrupt, terminate, token.clone()));
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for SIGINT and SIGTERM; the process will not stop gracefully");
        }
    }
    token
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    let name = next(&mut interrupt, &mut terminate).await;
    tracing::info!(signal = name, "stopping; a second signal ends the process at once");
    token.cancel();
    let name = next(&mut interrupt, &mut terminate).await;
    tracing::warn!(signal = name, "second signal; ending at once");
    std::process::exit(INTERRUPTED);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
