//! Hears of late events, and counts what they make wrong.

use super::late::{Late, Verdict};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use record::OrganizationId;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};
use store::{LateEvents, LateNews};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is heard; nothing is any more when it is dropped.
pub(super) struct Follower {
    late: Arc<RwLock<Late>>,
    _stop: DropGuard,
}

impl Follower {
    /// Begins to listen. Needs a runtime.
    pub(super) fn start(events: Box<dyn LateEvents>, registry: &mut Registry) -> Follower {
        let late = Arc::new(RwLock::new(Late::new(super::late::MOST)));
        let (stop, metrics) = (CancellationToken::new(), Metrics::register(registry));
        let following = follow(events, Arc::clone(&late), metrics);
        tokio::spawn(stop.clone().run_until_cancelled_owned(following));
        Follower { late, _stop: stop.drop_guard() }
    }

    /// What is known of an answer about a time that is over, whose question was asked then.
    pub(super) fn verdict(&self, organization: Option<&OrganizationId>, asked: Instant) -> Verdict {
        self.late.read().unwrap_or_else(PoisonError::into_inner).verdict(organization, asked)
    }
}

async fn follow(mut events: Box<dyn LateEvents>, late: Arc<RwLock<Late>>, metrics: Metrics) {
    loop {
        let news = events.next().await;
        metrics.count(&news);
        let mut late = late.write().unwrap_or_else(PoisonError::into_inner);
        late.hear(news, Instant::now());
        metrics.listening.set(i64::from(late.is_listening()));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    of: &'static str,
}

#[derive(Clone)]
struct Metrics {
    invalidations: Family<Labels, Counter>,
    listening: Gauge,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics { invalidations: Family::default(), listening: Gauge::default() };
        registry.register(
            "read_cache_invalidations",
            "Times that kept answers of one organisation, or of all, were no longer fresh because events came late or may have",
            metrics.invalidations.clone(),
        );
        registry.register(
            "read_cache_hears_late_events",
            "1 while late events are heard of; while they are not, no answer is fresh for longer than one about the present",
            metrics.listening.clone(),
        );
        metrics
    }

    fn count(&self, news: &LateNews) {
        let (of, times) = match news {
            LateNews::Of(organizations) => ("organization", organizations.len() as u64),
            LateNews::OfAny | LateNews::Listening => ("all", 1),
            LateNews::Lost => return,
        };
        self.invalidations.get_or_create(&Labels { of }).inc_by(times);
    }
}
