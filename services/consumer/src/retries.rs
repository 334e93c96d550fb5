//! Tries set-aside records again, and gives them up after the last delay.

use crate::{consume::Shared, decide::retry_at};
use record::{LogRecord, Timestamp};
use resilience::Backoff;
use std::{sync::Arc, time::Duration};
use store::{FlushError, Letter, Outcome, SinkError};
use tokio_util::sync::CancellationToken;

/// Letters taken from the store at one time.
const LETTERS: usize = 100;
/// Longest wait before looking again: letters of a consumer that ended are taken over after at most this.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Works until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(200), shared.config.outage_cap);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.gate.breaker.wait_ready() => {}
        }
        let wait = match retry_due(&shared).await {
            Ok(wait) => {
                backoff.reset();
                wait
            }
            Err(SinkError(_)) => backoff.next(rand::random()),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.letters_came.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Tries all letters that are due; answers how long until the next one is.
async fn retry_due(shared: &Shared) -> Result<Duration, SinkError> {
    loop {
        let letters = shared.sink.due_letters(Timestamp::now(), LETTERS).await?;
        for letter in &letters {
            retry(shared, letter).await?;
        }
        if letters.len() < LETTERS {
            let wait = shared.sink.next_due(Timestamp::now()).await?;
            return Ok(wait.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN));
        }
    }
}

async fn retry(shared: &Shared, letter: &Letter) -> Result<(), SinkError> {
    let refusal = match LogRecord::from_json(&letter.payload) {
        Err(error) => error.to_string().into(),
        Ok(row) => match shared.sink.settle(letter, Outcome::Stored(Box::new(row))).await {
            Ok(true) => {
                shared.metrics.stored.inc();
                return Ok(());
            }
            Ok(false) => return Ok(()),
            Err(FlushError::Refused(refusal)) => refusal,
            Err(outage) => return Err(SinkError(outage.to_string())),
        },
    };
    let outcome = match retry_at(&shared.config.retry_delays, letter.attempts + 1, Timestamp::now()) {
        Some(at) => Outcome::Retry { at, refusal },
        None => Outcome::Dead { refusal },
    };
    let gave_up = matches!(outcome, Outcome::Dead { .. });
    match shared.sink.settle(letter, outcome).await {
        Ok(true) if gave_up => {
            shared.metrics.dead_lettered.inc();
            let (partition, offset) = (letter.of.partition, letter.offset);
            tracing::warn!(
                partition,
                offset,
                attempts = letter.attempts + 1,
                "a record is given up: dead letter"
            );
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(SinkError(error.to_string())),
    }
}
