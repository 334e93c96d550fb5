//! The circuit breakers of a process, by what they stand before: for metrics, logs and people.

use crate::{Changes, SharedBreaker, Snapshot, State};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All breakers; clones are the same.
#[derive(Clone, Default)]
pub struct Breakers(Arc<Mutex<BTreeMap<String, SharedBreaker>>>);

impl Breakers {
    /// None yet; what comes is shown in `registry`.
    pub fn register(registry: &mut Registry) -> Breakers {
        let breakers = Breakers::default();
        registry.register_collector(Box::new(breakers.clone()));
        breakers
    }

    /// Shows a breaker from now on, and logs its transitions; needs a runtime for that.
    pub fn show(&self, dependency: impl Into<String>, breaker: &SharedBreaker) {
        let dependency = dependency.into();
        self.lock().insert(dependency.clone(), breaker.clone());
        tokio::spawn(tell(dependency, breaker.changes()));
    }

    /// Forgets a breaker whose dependency is gone.
    pub fn forget(&self, dependency: &str) {
        self.lock().remove(dependency);
    }

    /// What each has to show now.
    pub fn snapshots(&self) -> Vec<(String, Snapshot)> {
        self.lock().iter().map(|(dependency, breaker)| (dependency.clone(), breaker.snapshot())).collect()
    }

    /// The states of those before a dependency, for people: `closed`, or `2 closed, 1 open` for a service with several
    /// addresses. `None` when there is none.
    pub fn states_of(&self, dependency: &str) -> Option<String> {
        let is_of = |name: &str| {
            name.strip_prefix(dependency).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let snapshots = self.snapshots();
        let of: Vec<State> =
            snapshots.iter().filter(|(name, _)| is_of(name)).map(|(_, snapshot)| snapshot.state).collect();
        let counted =
            State::ALL.iter().filter_map(|state| match of.iter().filter(|one| *one == state).count() {
                0 => None,
                1 if of.len() == 1 => Some(state.to_string()),
                count => Some(format!("{count} {state}")),
            });
        let counted: Vec<String> = counted.collect();
        (!counted.is_empty()).then(|| counted.join(", "))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SharedBreaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs when calls stop and when they go on; the trials between are details.
async fn tell(dependency: String, mut changes: Changes) {
    let mut is_left_alone = false;
    while let Some(status) = changes.next().await {
        match status.state {
            State::Open | State::ForcedOpen if !is_left_alone => {
                is_left_alone = true;
                tracing::warn!(dependency, because = status.because, "the circuit breaker is open");
            }
            State::Closed => {
                is_left_alone = false;
                tracing::info!(dependency, "the circuit breaker is closed");
            }
            state => tracing::debug!(dependency, %state, because = status.because, "circuit breaker"),
        }
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshots()).finish()
    }
}

impl Collector for Breakers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshots = self.snapshots();
        let state = ConstGauge::new(0_i64);
        let help = "1 for the state that the circuit breaker has";
        let mut family = encoder.encode_descriptor("breaker_state", help, None, state.metric_type())?;
        for (dependency, snapshot) in &snapshots {
            for state in State::ALL {
                let labels = [("dependency", dependency.as_str()), ("state", state.name())];
                ConstGauge::new(i64::from(snapshot.state == state)).encode(family.encode_family(&labels)?)?;
            }
        }
        let none = ConstCounter::new(0_u64);
        let help = "Calls by what became of them";
        let mut family = encoder.encode_descriptor("breaker_calls", help, None, none.metric_type())?;
        for (dependency, snapshot) in &snapshots {
            for (outcome, count) in outcomes(snapshot) {
                let labels = [("dependency", dependency.as_str()), ("outcome", outcome)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Times that the circuit breaker changed its state";
        let mut family = encoder.encode_descriptor("breaker_transitions", help, None, none.metric_type())?;
        for (dependency, snapshot) in &snapshots {
            for (kind, count) in transitions(snapshot) {
                let labels = [("dependency", dependency.as_str()), ("transition", kind)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn outcomes(snapshot: &Snapshot) -> [(&'static str, u64); 7] {
    let of = snapshot.counts;
    [
        ("succeeded", of.succeeded),
        ("failed", of.failed),
        ("slow", of.slow),
        ("ignored", of.ignored),
        ("dropped", of.dropped),
        ("outdated", of.outdated),
        ("refused", of.refused),
    ]
}

fn transitions(snapshot: &Snapshot) -> [(&'static str, u64); 5] {
    let of = snapshot.transitions;
    [
        ("opened", of.opened),
        ("half_opened", of.half_opened),
        ("reopened", of.reopened),
        ("closed", of.closed),
        ("forced", of.forced),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BreakerConfig;
    use prometheus_client::encoding::text::encode;

    #[tokio::test]
    async fn the_states_before_a_service_are_counted() {
        let breakers = Breakers::default();
        let add = |name: &str, open: bool| {
            let breaker = SharedBreaker::new(BreakerConfig::default(), || 0.5).unwrap();
            breakers.show(name, &breaker);
            if open {
                breaker.force_open();
            }
        };
        assert_eq!(breakers.states_of("producer"), None);
        add("redis", true);
        add("producer 10.0.0.1:80", false);
        add("producers", true);
        assert_eq!(breakers.states_of("redis").as_deref(), Some("forced_open"));
        assert_eq!(breakers.states_of("producer").as_deref(), Some("closed"));
        add("producer 10.0.0.2:80", true);
        add("producer 10.0.0.3:80", false);
        assert_eq!(breakers.states_of("producer").as_deref(), Some("2 closed, 1 forced_open"));
    }

    #[tokio::test]
    async fn a_breaker_shows_its_state_calls_and_transitions() {
        let mut registry = Registry::default();
        let breakers = Breakers::register(&mut registry);
        let breaker = SharedBreaker::new(BreakerConfig::default(), || 0.5).unwrap();
        breakers.show("store", &breaker);
        breaker.acquire().unwrap().succeeded();
        breaker.force_open();
        assert!(breaker.acquire().is_err());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"breaker_state{dependency="store",state="forced_open"} 1"#,
            r#"breaker_state{dependency="store",state="closed"} 0"#,
            r#"breaker_calls_total{dependency="store",outcome="succeeded"} 1"#,
            r#"breaker_calls_total{dependency="store",outcome="refused"} 1"#,
            r#"breaker_transitions_total{dependency="store",transition="forced"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        breakers.forget("store");
        assert!(breakers.snapshots().is_empty());
    }
}
