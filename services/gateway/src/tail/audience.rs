//! Who looks on: the clients of each organisation, within limits.

use super::Seen;
use record::OrganizationId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::broadcast;

/// Events kept for the clients of one organisation that are behind.
const BEHIND: usize = 1024;

/// Clients at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailLimits {
    /// Of all organisations.
    pub all: usize,
    /// Of one organisation.
    pub each: usize,
}

impl Default for TailLimits {
    /// 20 000 and 1000.
    fn default() -> TailLimits {
        TailLimits { all: 20_000, each: 1000 }
    }
}

/// No more clients may look on now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("{0} clients look on already, as many as this gateway takes")]
    All(usize),
    #[error("{0} clients of the organisation look on already, as many as it may have at this gateway")]
    Organization(usize),
}

/// All clients. An event wakes those of its organisation and nobody else.
pub(super) struct Audience {
    limits: TailLimits,
    looking_on: Mutex<LookingOn>,
}

#[derive(Default)]
struct LookingOn {
    all: usize,
    by_organization: HashMap<OrganizationId, broadcast::Sender<Arc<Seen>>>,
}

impl Audience {
    pub(super) fn new(limits: TailLimits) -> Audience {
        Audience { limits, looking_on: Mutex::default() }
    }

    /// A seat for a client of the organisation.
    pub(super) fn enter(self: &Arc<Self>, organization: &OrganizationId) -> Result<Seat, Full> {
        let mut looking_on = self.lock();
        if looking_on.all >= self.limits.all {
            return Err(Full::All(self.limits.all));
        }
        let sender = looking_on.by_organization.entry(organization.clone());
        let sender = sender.or_insert_with(|| broadcast::Sender::new(BEHIND));
        if sender.receiver_count() >= self.limits.each {
            return Err(Full::Organization(self.limits.each));
        }
        let events = sender.subscribe();
        looking_on.all += 1;
        Ok(Seat { events, organization: organization.clone(), audience: self.clone() })
    }

    /// Whether anybody of the organisation looks on.
    pub(super) fn has(&self, organization: &OrganizationId) -> bool {
        self.lock().by_organization.contains_key(organization)
    }

    pub(super) fn show(&self, organization: &OrganizationId, seen: Seen) {
        if let Some(sender) = self.lock().by_organization.get(organization) {
            // The last of them may have gone meanwhile.
            sender.send(Arc::new(seen)).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, LookingOn> {
        self.looking_on.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client's place, until it is dropped.
pub(super) struct Seat {
    pub(super) events: broadcast::Receiver<Arc<Seen>>,
    organization: OrganizationId,
    audience: Arc<Audience>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut looking_on = self.audience.lock();
        looking_on.all -= 1;
        // This one is counted until the end of the drop.
        if looking_on
            .by_organization
            .get(&self.organization)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            looking_on.by_organization.remove(&self.organization);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::LogRecord;

    fn seen(organization: &OrganizationId) -> Seen {
        let json = format!(
            r#"{{"id":"01936d3c-5a00-7000-8000-000000000001","organizationId":"{organization}",
            "timestamp":"2026-01-31T12:00:00Z","level":"INFO","service":"s","message":"m"}}"#
        );
        Seen { record: LogRecord::from_json(json.as_bytes()).unwrap(), json }
    }

    #[test]
    fn seats_are_limited_and_given_back_and_nobody_hears_of_others() {
        let audience = Arc::new(Audience::new(TailLimits { all: 3, each: 2 }));
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let mut first = audience.enter(&acme).ok().unwrap();
        let second = audience.enter(&acme).ok().unwrap();
        assert_eq!(audience.enter(&acme).err(), Some(Full::Organization(2)));
        let mut other = audience.enter(&globex).ok().unwrap();
        assert_eq!(audience.enter(&globex).err(), Some(Full::All(3)));
        audience.show(&acme, seen(&acme));
        assert!(first.events.try_recv().is_ok() && other.events.try_recv().is_err());
        drop((first, second));
        assert!(!audience.has(&acme) && audience.has(&globex));
        drop(other);
        let left = audience.lock();
        assert!(left.all == 0 && left.by_organization.is_empty());
    }
}
