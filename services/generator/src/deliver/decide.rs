//! What follows from an answer. Pure.

use crate::{
    answer::{Answer, Rejected, shown},
    batch::Batch,
};
use record::Uuid;
use std::time::Duration;

/// What follows from the answer to a batch.
#[derive(Debug)]
pub(super) struct Decision {
    /// Events that are durable.
    pub(super) accepted: Vec<Uuid>,
    /// Why events were refused for good, one reason each.
    pub(super) refused: Vec<String>,
    /// What to do with the others.
    pub(super) next: Next,
}

/// What to do with events that have no verdict.
#[derive(Debug)]
pub(super) enum Next {
    /// There are none.
    Done,
    /// Send these again, for this reason.
    Again(Batch, Wait, String),
    /// Send it in two parts.
    Halves(Batch, Batch),
    /// Nothing can be sent.
    Hopeless(String),
}

/// Who waits before the next try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// All connections, for as long as the pipeline asks.
    Everyone(Option<Duration>),
    /// This batch only.
    Alone,
}

/// What follows from `answer` to `batch`.
pub(super) fn decide(batch: &Batch, answer: Answer) -> Decision {
    let all = |reason: String, next: Next| Decision {
        accepted: Vec::new(),
        refused: if matches!(next, Next::Done) { vec![reason; batch.len()] } else { Vec::new() },
        next,
    };
    match answer {
        Answer::Judged(rejected) => judged(batch, rejected),
        Answer::Busy { refused, retry_after, reason } => busy(batch, &refused, retry_after, reason),
        Answer::TooLarge(reason) if batch.len() <= 1 => all(reason, Next::Done),
        Answer::TooLarge(reason) => {
            let (first, second) = batch.halves();
            all(reason, Next::Halves(first, second))
        }
        Answer::Refused(reason) => all(reason, Next::Done),
        Answer::Broken(reason) => all(String::new(), Next::Again(batch.clone(), Wait::Alone, reason)),
        Answer::Hopeless(reason) => all(String::new(), Next::Hopeless(reason)),
    }
}

fn judged(batch: &Batch, rejected: Vec<Rejected>) -> Decision {
    if rejected.is_empty() {
        return Decision { accepted: batch.ids().to_vec(), refused: Vec::new(), next: Next::Done };
    }
    let named = places(batch, &rejected);
    let accepted = batch.ids().iter().zip(&named).filter(|(_, named)| !**named).map(|(id, _)| *id).collect();
    let (again, refused): (Vec<Rejected>, Vec<Rejected>) = rejected.into_iter().partition(|of| of.retryable);
    let next = match again.first() {
        None => Next::Done,
        Some(first) => {
            let reason = shown(&first.reason);
            Next::Again(batch.select(again.iter().map(|of| of.index)), Wait::Everyone(None), reason)
        }
    };
    Decision { accepted, refused: reasons(&refused), next }
}

fn busy(batch: &Batch, refused: &[Rejected], retry_after: Option<Duration>, reason: String) -> Decision {
    let named = places(batch, refused);
    let rest = batch.select((0..batch.len()).filter(|index| !named[*index]));
    let next =
        if rest.is_empty() { Next::Done } else { Next::Again(rest, Wait::Everyone(retry_after), reason) };
    Decision { accepted: Vec::new(), refused: reasons(refused), next }
}

/// Which events have a verdict.
fn places(batch: &Batch, rejected: &[Rejected]) -> Vec<bool> {
    let mut named = vec![false; batch.len()];
    for of in rejected {
        if let Some(named) = named.get_mut(of.index) {
            *named = true;
        }
    }
    named
}

fn reasons(refused: &[Rejected]) -> Vec<String> {
    refused.iter().map(|of| shown(&of.reason)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(events: u128) -> Batch {
        let mut batch = Batch::default();
        for number in 0..events {
            batch.push(Uuid::from_u128(number), |body| body.extend_from_slice(b"{}"));
        }
        batch
    }

    fn rejected(index: usize, retryable: bool) -> Rejected {
        Rejected { index, reason: format!("r{index}"), retryable }
    }

    fn numbers(ids: &[Uuid]) -> Vec<u128> {
        ids.iter().map(|id| id.as_u128()).collect()
    }

    #[test]
    fn only_what_may_be_accepted_later_is_sent_again() {
        let decision = decide(&batch(4), Answer::Judged(vec![rejected(1, false), rejected(3, true)]));
        assert_eq!((numbers(&decision.accepted), decision.refused), (vec![0, 2], vec!["r1".to_owned()]));
        let Next::Again(rest, Wait::Everyone(None), reason) = decision.next else {
            panic!("{:?}", decision.next)
        };
        assert_eq!((numbers(rest.ids()), reason.as_str()), (vec![3], "r3"));
    }

    #[test]
    fn a_busy_pipeline_gets_all_but_what_it_refused_for_good() {
        let wait = Some(Duration::from_secs(3));
        let answer = |refused| Answer::Busy { refused, retry_after: wait, reason: "full".into() };
        let decision = decide(&batch(3), answer(vec![rejected(0, false)]));
        assert!(decision.accepted.is_empty());
        let Next::Again(rest, asked, _) = decision.next else { panic!("{:?}", decision.next) };
        assert_eq!((numbers(rest.ids()), asked), (vec![1, 2], Wait::Everyone(wait)));
        let decision = decide(&batch(1), answer(vec![rejected(0, false)]));
        assert!(matches!(decision.next, Next::Done) && decision.refused.len() == 1);
    }

    #[test]
    fn what_is_too_large_is_halved_until_an_event_stands_alone() {
        let Next::Halves(first, second) = decide(&batch(5), Answer::TooLarge("big".into())).next else {
            panic!("it is not halved")
        };
        assert_eq!((first.len(), second.len()), (2, 3));
        let alone = decide(&batch(1), Answer::TooLarge("big".into()));
        assert!(matches!(alone.next, Next::Done));
        assert_eq!(alone.refused, ["big"]);
    }

    #[test]
    fn every_event_is_accounted_for_once() {
        for answer in [
            Answer::Judged(vec![]),
            Answer::Judged(vec![rejected(0, true), rejected(1, false), rejected(2, true)]),
            Answer::Busy { refused: vec![rejected(2, false)], retry_after: None, reason: String::new() },
            Answer::TooLarge(String::new()),
            Answer::Refused("no".into()),
            Answer::Broken("no".into()),
        ] {
            let shown = format!("{answer:?}");
            let Decision { accepted, refused, next } = decide(&batch(3), answer);
            let rest = match next {
                Next::Done => 0,
                Next::Again(rest, ..) => rest.len(),
                Next::Halves(first, second) => first.len() + second.len(),
                Next::Hopeless(reason) => panic!("{reason}"),
            };
            assert_eq!(accepted.len() + refused.len() + rest, 3, "{shown}");
        }
    }
}
