//! Asks about the topic in a thread of its own: answers may take seconds, and the thread that polls cannot wait.

use super::desk::Desk;
use crate::PartitionOffsets;
use crate::kafka::lookup::Lookup;
use crate::kafka::native::{Description, LookupError};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Is it still the same topic, with the same partitions?
    Identity,
    /// Where do its partitions begin and end?
    Offsets,
}

#[derive(Debug)]
pub(super) enum Answer {
    Identity(Result<Description, LookupError>),
    Offsets(Result<Vec<PartitionOffsets>, LookupError>),
}

/// Asks one question at a time. The thread ends when this is dropped and it has its answer.
pub(super) struct Questions {
    questions: mpsc::Sender<(u64, Question)>,
    answers: mpsc::Receiver<(u64, Answer)>,
    asked: u64,
}

impl Questions {
    pub(super) fn new(lookup: Arc<Lookup>, desk: Arc<Desk>) -> std::io::Result<Questions> {
        let (questions, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        std::thread::Builder::new().name("topic-lookup".into()).spawn(move || {
            while let Ok((number, question)) = asked.recv() {
                if answer.send((number, look(&lookup, question))).is_err() {
                    break;
                }
                desk.bell.ring();
            }
        })?;
        Ok(Questions { questions, answers, asked: 0 })
    }

    /// The answer to an earlier question is not waited for any more.
    pub(super) fn ask(&mut self, question: Question) {
        self.asked += 1;
        // The thread ends after this.
        self.questions.send((self.asked, question)).ok();
    }

    /// The answer to the question asked last, when it is there.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        loop {
            let (number, answer) = self.answers.try_recv().ok()?;
            if number == self.asked {
                return Some(answer);
            }
        }
    }
}

fn look(lookup: &Lookup, question: Question) -> Answer {
    match question {
        Question::Identity => Answer::Identity(lookup.describe(ANSWERED_WITHIN)),
        Question::Offsets => Answer::Offsets(lookup.offsets(ANSWERED_WITHIN)),
    }
}
