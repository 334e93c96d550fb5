//! Which kept answers late events have made wrong. Pure: it takes the time.
//!
//! An answer holds if its question was asked after the last news of its organisation, and as long as news are heard. The
//! time that counts is when the question began: what was stored while it was under way may be missing in its answer.

use lru::LruCache;
use record::OrganizationId;
use std::{num::NonZeroUsize, time::Instant};
use store::LateNews;

/// Organisations whose last news are remembered. The news of one that is forgotten count for all.
pub(super) const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// What is known of an answer about a time that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing came late since its question.
    Holds,
    /// Something came late, or may have.
    Outdated,
    /// Nothing is known to have come late, and it would not be heard now.
    Unknown,
}

/// The last news.
#[derive(Debug)]
pub(super) struct Late {
    is_listening: bool,
    /// Of all organisations.
    all: Option<Instant>,
    /// In the order of their news, which is also that of their times.
    each: LruCache<OrganizationId, Instant>,
}

impl Late {
    /// Nothing is heard yet.
    pub(super) fn new(most: NonZeroUsize) -> Late {
        Late { is_listening: false, all: None, each: LruCache::new(most) }
    }

    /// Takes news that came now.
    pub(super) fn hear(&mut self, news: LateNews, now: Instant) {
        match news {
            LateNews::Listening => {
                self.is_listening = true;
                self.outdate_all(now);
            }
            LateNews::Lost => self.is_listening = false,
            LateNews::OfAny => self.outdate_all(now),
            LateNews::Of(organizations) => {
                for organization in organizations {
                    self.outdate(&organization, now);
                }
            }
        }
    }

    /// What is known of an answer of that organisation, or of what concerns all, whose question was asked then.
    pub(super) fn verdict(&self, organization: Option<&OrganizationId>, asked: Instant) -> Verdict {
        // Looked at only, so that the one whose news are the oldest is the first to be forgotten.
        let own = organization.and_then(|organization| self.each.peek(organization));
        if own.copied().max(self.all).is_some_and(|last| asked <= last) {
            Verdict::Outdated
        } else if self.is_listening {
            Verdict::Holds
        } else {
            Verdict::Unknown
        }
    }

    /// Whether late events are heard of.
    pub(super) fn is_listening(&self) -> bool {
        self.is_listening
    }

    fn outdate_all(&mut self, now: Instant) {
        self.all = Some(now);
        self.each.clear();
    }

    fn outdate(&mut self, organization: &OrganizationId, now: Instant) {
        let before = self.each.push(organization.clone(), now);
        if let Some((_, news)) = before.filter(|(forgotten, _)| forgotten != organization) {
            self.all = self.all.max(Some(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashMap, time::Duration};

    const SECOND: Duration = Duration::from_secs(1);

    fn of(names: &[u8]) -> LateNews {
        LateNews::Of(names.iter().map(|name| organization(*name)).collect())
    }

    fn organization(name: u8) -> OrganizationId {
        format!("o{name}").parse().unwrap()
    }

    #[test]
    fn only_questions_after_the_last_news_hold_and_only_while_news_are_heard() {
        let (now, mut late) = (Instant::now(), Late::new(MOST));
        let (acme, other) = (organization(1), organization(2));
        assert_eq!(late.verdict(Some(&acme), now), Verdict::Unknown);
        late.hear(LateNews::Listening, now);
        assert_eq!(late.verdict(Some(&acme), now), Verdict::Outdated, "it may have been missed");
        assert_eq!(late.verdict(Some(&acme), now + SECOND), Verdict::Holds);
        late.hear(of(&[1]), now + 2 * SECOND);
        assert_eq!(late.verdict(Some(&acme), now + 2 * SECOND), Verdict::Outdated);
        assert_eq!(late.verdict(Some(&acme), now + 3 * SECOND), Verdict::Holds);
        assert_eq!(late.verdict(Some(&other), now + SECOND), Verdict::Holds);
        late.hear(LateNews::Lost, now + 4 * SECOND);
        assert_eq!(late.verdict(Some(&other), now + SECOND), Verdict::Unknown);
        assert_eq!(late.verdict(Some(&acme), now + SECOND), Verdict::Outdated);
        late.hear(LateNews::Listening, now + 5 * SECOND);
        assert_eq!(late.verdict(Some(&other), now + 3 * SECOND), Verdict::Outdated);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait,
        Hear(LateNews),
        Ask(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Wait),
            4 => proptest::collection::vec(0_u8..6, 1..4).prop_map(|names| Step::Hear(of(&names))),
            1 => prop_oneof![Just(LateNews::Listening), Just(LateNews::Lost), Just(LateNews::OfAny)].prop_map(Step::Hear),
            4 => (0_u8..6).prop_map(Step::Ask),
        ]
    }

    proptest! {
        /// Beside a model that forgets nothing: with room for all organisations they agree, with less room nothing
        /// holds that the model knows to be outdated, and no more is remembered than there is room for.
        #[test]
        fn nothing_holds_that_came_before_news(steps in proptest::collection::vec(step(), 1..80), most in 1_usize..7) {
            let mut now = Instant::now();
            let mut late = Late::new(NonZeroUsize::new(most).unwrap());
            let (mut listening, mut all, mut each) = (false, None, HashMap::new());
            let mut asked: Vec<(OrganizationId, Instant)> = Vec::new();
            for step in steps {
                match step {
                    Step::Wait => now += SECOND,
                    Step::Ask(name) => asked.push((organization(name), now)),
                    Step::Hear(news) => {
                        match &news {
                            LateNews::Lost => listening = false,
                            LateNews::Listening => (listening, all) = (true, Some(now)),
                            LateNews::OfAny => all = Some(now),
                            LateNews::Of(names) => each.extend(names.iter().map(|name| (name.clone(), now))),
                        }
                        late.hear(news, now);
                    }
                }
                prop_assert!(late.each.len() <= most);
                for (organization, at) in &asked {
                    let last = each.get(organization).copied().max(all);
                    let expected = match last.is_some_and(|last| *at <= last) {
                        true => Verdict::Outdated,
                        false if listening => Verdict::Holds,
                        false => Verdict::Unknown,
                    };
                    let verdict = late.verdict(Some(organization), *at);
                    prop_assert!(verdict == expected || most < 6 && verdict == Verdict::Outdated,
                        "{verdict:?} in place of {expected:?}");
                }
            }
        }
    }
}
