//! Dependencies that are looked at together, at most once a second however many ask.

use super::dependency::Dependency;
use futures::future::join_all;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};

/// How long an outcome is repeated without a new look.
const FRESH: Duration = Duration::from_secs(1);

/// What time it is for people.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What came of a look.
#[derive(Default)]
pub(super) struct Report {
    pub(super) lines: String,
    /// Whether nothing that is needed is out.
    pub(super) passed: bool,
}

type Last = Option<(Instant, Arc<Report>)>;

/// Clones share what was seen.
#[derive(Clone, Default)]
pub(super) struct Group {
    dependencies: Vec<Arc<Dependency>>,
    /// Held while the dependencies are asked, so that all who ask meanwhile share one look.
    last: Arc<Mutex<Last>>,
}

impl Group {
    pub(super) fn add(&mut self, dependency: Dependency) {
        self.dependencies.push(Arc::new(dependency));
        // What clones have seen is not the whole any more.
        self.last = Arc::default();
    }

    /// The outcome of the last second, or of a new look. It goes on even if this caller goes away: a dependency that is
    /// slower than the probe's patience would otherwise be asked again and again.
    pub(super) async fn report(&self, clock: &Clock) -> Arc<Report> {
        let (group, clock) = (self.clone(), clock.clone());
        let look = tokio::spawn(async move {
            let last = group.last.clone().lock_owned().await;
            group.renewed(last, clock).await
        });
        let ended = look.await;
        ended.unwrap_or_else(|_| {
            Arc::new(Report { lines: "[-]readyz failed: the check did not end\n".into(), passed: false })
        })
    }

    /// Has the dependencies looked at, without waiting for it; nothing when that is under way.
    pub(super) fn refresh(&self, clock: &Clock) {
        if let Ok(last) = self.last.clone().try_lock_owned() {
            let (group, clock) = (self.clone(), clock.clone());
            tokio::spawn(async move { group.renewed(last, clock).await });
        }
    }

    async fn renewed(&self, mut last: OwnedMutexGuard<Last>, clock: Clock) -> Arc<Report> {
        if let Some((at, report)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(report);
        }
        let looks = join_all(self.dependencies.iter().map(|dependency| dependency.look(&*clock))).await;
        let mut report = Report { lines: String::new(), passed: true };
        for (passed, line) in looks {
            report.passed &= passed;
            report.lines.push_str(&line);
        }
        let report = Arc::new(report);
        *last = Some((Instant::now(), Arc::clone(&report)));
        report
    }
}
