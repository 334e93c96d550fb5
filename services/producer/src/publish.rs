//! Appends judged events and makes the answer to the client.

use crate::{
    api::EVENTS,
    event::{Event, Refusal},
    metrics::Metrics,
    sending::Sending,
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use process::problem::Problem;
use record::OrganizationId;
use resilience::{Outcome, SharedBreaker};
use serde::Serialize;
use std::time::{Duration, Instant};
use topic::{AppendError, Failure, NewRecord, Writer};

/// The verdict on one event that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Why, and what to do.
    pub reason: String,
    /// Present and true when the same event may be accepted later: the topic could not take it now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
}

/// What became of a request's events.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Events that are durable in the topic.
    pub accepted: usize,
    /// All others.
    pub rejected: Vec<Rejected>,
    /// Whether every refused event belongs to another organisation than the token.
    all_foreign: bool,
    /// What the topic said, when it refused something.
    append_error: Option<AppendError>,
}

/// Appends the good events, each with the context of their trace, and answers when they are durable, at the latest after `deadline`.
pub(crate) async fn publish(
    writer: &dyn Writer,
    breaker: &SharedBreaker,
    judged: Vec<Result<Event, Refusal>>,
    mut sending: Sending,
    deadline: Duration,
    metrics: &Metrics,
) -> Verdict {
    let mut verdict = Verdict { all_foreign: true, ..Verdict::default() };
    let mut records = Vec::with_capacity(judged.len());
    let mut places = Vec::with_capacity(judged.len());
    let mut keys = Keys::default();
    let headers = sending.headers();
    for (index, event) in judged.into_iter().enumerate() {
        match event {
            Ok(Event { organization_id, payload }) => {
                places.push(index);
                let key = keys.of(organization_id);
                records.push(NewRecord { key, payload, headers: headers.to_vec() });
            }
            Err(refusal) => {
                verdict.all_foreign &= matches!(refusal, Refusal::Foreign { .. });
                verdict.rejected.push(Rejected { index, reason: refusal.to_string(), retryable: false });
            }
        }
    }
    if !records.is_empty() {
        let failures = append(writer, breaker, records, deadline, metrics).await;
        sending.end(places.len(), &failures);
        verdict.note(failures, &places);
    }
    metrics.accepted.inc_by(verdict.accepted as u64);
    metrics.rejected.inc_by(verdict.rejected.iter().filter(|rejected| !rejected.retryable).count() as u64);
    metrics.unavailable.inc_by(verdict.rejected.iter().filter(|rejected| rejected.retryable).count() as u64);
    verdict
}

/// Keys of records: the events of a request mostly have one organisation, and share its bytes then.
#[derive(Default)]
struct Keys(Option<(OrganizationId, Bytes)>);

impl Keys {
    fn of(&mut self, organization_id: OrganizationId) -> Bytes {
        match &self.0 {
            Some((last, key)) if *last == organization_id => key.clone(),
            _ => {
                let key = Bytes::copy_from_slice(organization_id.as_str().as_bytes());
                self.0 = Some((organization_id, key.clone()));
                key
            }
        }
    }
}

/// Appends the records, if the breaker lets them; answers those that failed.
async fn append(
    writer: &dyn Writer,
    breaker: &SharedBreaker,
    records: Vec<NewRecord>,
    deadline: Duration,
    metrics: &Metrics,
) -> Vec<Failure> {
    let count = records.len();
    let all = |error: AppendError| (0..count).map(|index| Failure { index, error: error.clone() }).collect();
    let permit = match breaker.acquire() {
        Ok(permit) => permit,
        Err(refused) => {
            let why = format!("it did not acknowledge, and is tried again in {:.1?}", refused.retry_after);
            return all(AppendError::Unavailable(why));
        }
    };
    let begun = Instant::now();
    let failures = tokio::time::timeout(deadline, writer.append(records)).await.unwrap_or_else(|_| {
        let silent =
            format!("it did not acknowledge within {deadline:?}; the events may be stored nevertheless");
        all(AppendError::Unavailable(silent))
    });
    metrics.append_seconds.observe(begun.elapsed().as_secs_f64(), trace::exemplar(), None);
    permit.report(outcome(&failures));
    failures
}

/// What a request says about the topic: a queue that is full, and a record that is too large, say nothing.
fn outcome(failures: &[Failure]) -> Outcome {
    let mut errors = failures.iter().map(|failure| &failure.error);
    match errors.clone().find(|error| matches!(error, AppendError::Unavailable(_))) {
        Some(error) => Outcome::Failed(error.to_string()),
        None if errors.any(AppendError::is_retryable) => Outcome::Ignored,
        None => Outcome::Succeeded,
    }
}

impl Verdict {
    /// What became of the records that were appended, which have these places in the request.
    fn note(&mut self, failures: Vec<Failure>, places: &[usize]) {
        self.accepted = places.len() - failures.len();
        for failure in failures {
            self.all_foreign = false;
            self.rejected.push(Rejected {
                index: places[failure.index],
                reason: failure.error.to_string(),
                retryable: failure.error.is_retryable(),
            });
            self.append_error = Some(failure.error);
        }
        self.rejected.sort_by_key(|rejected| rejected.index);
    }
}

/// The answer, which says how many events the request had.
impl IntoResponse for Verdict {
    fn into_response(self) -> Response {
        let events = self.accepted + self.rejected.len();
        let mut response = self.answer();
        response.headers_mut().insert(EVENTS, events.into());
        response
    }
}

impl Verdict {
    /// 202 when anything was accepted (or nothing was sent), else a problem that says why nothing was.
    fn answer(self) -> Response {
        #[derive(Serialize)]
        struct Accepted {
            accepted: usize,
            rejected: Vec<Rejected>,
        }
        if self.accepted > 0 || self.rejected.is_empty() {
            return (
                StatusCode::ACCEPTED,
                Json(Accepted { accepted: self.accepted, rejected: self.rejected }),
            )
                .into_response();
        }
        let rejected = serde_json::to_value(&self.rejected).expect("verdicts have string keys only");
        let problem = match self.append_error {
            Some(error) if error.is_retryable() => {
                let wait = match error {
                    AppendError::QueueFull { retry_after } => retry_after,
                    AppendError::TopicFull { .. } => Duration::from_secs(5),
                    _ => Duration::from_secs(1),
                };
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{error}; send the request again later"),
                )
                .retry_after(wait)
            }
            _ => {
                let status = if self.all_foreign { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
                let first = &self.rejected[0].reason;
                let detail = match self.rejected.len() {
                    1 => format!("the event is refused: {first}"),
                    n => format!("all {n} events are refused, the first because: {first}"),
                };
                Problem::new(status, detail)
            }
        };
        problem.with("rejected", rejected).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_says_how_many_events_the_request_had() {
        let rejected = |index| Rejected { index, reason: "bad".into(), retryable: false };
        for (accepted, refused, status) in [(3, 0, 202), (2, 1, 202), (0, 2, 400), (0, 0, 202)] {
            let verdict =
                Verdict { accepted, rejected: (0..refused).map(rejected).collect(), ..Verdict::default() };
            let response = verdict.into_response();
            let said = response.headers()[EVENTS].to_str().unwrap().parse();
            assert_eq!((response.status().as_u16(), said), (status, Ok(accepted + refused)));
        }
    }
}
