//! How many writes are under way at one time: more are refused at once, since a queue would only make all of them late.

use record::OrganizationId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Writes under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteLimits {
    /// Of all organisations.
    pub all: usize,
    /// Of one organisation, so that it leaves room for the others.
    pub each: usize,
}

impl Default for WriteLimits {
    /// 1024 and 512.
    fn default() -> WriteLimits {
        WriteLimits { all: 1024, each: 512 }
    }
}

/// There is no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the gateway has {0} writes under way, as many as it takes")]
    All(usize),
    #[error("the organisation has {0} writes under way, as many as it may")]
    Organization(usize),
}

/// Counts the writes under way; clones share the count.
#[derive(Clone)]
pub(crate) struct Admission {
    limits: WriteLimits,
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Default)]
struct UnderWay {
    all: usize,
    /// Those that have any.
    by_organization: HashMap<OrganizationId, usize>,
}

impl Admission {
    pub(crate) fn new(limits: WriteLimits) -> Admission {
        Admission { limits, under_way: Arc::default() }
    }

    /// A place for one write; `None` stands for a token for any organisation, which is an administrator's.
    pub(crate) fn enter(&self, organization: Option<&OrganizationId>) -> Result<Place, Full> {
        let mut under_way = self.lock();
        if under_way.all >= self.limits.all {
            return Err(Full::All(self.limits.all));
        }
        if let Some(organization) = organization {
            let own = under_way.by_organization.get(organization).copied().unwrap_or(0);
            if own >= self.limits.each {
                return Err(Full::Organization(self.limits.each));
            }
            under_way.by_organization.insert(organization.clone(), own + 1);
        }
        under_way.all += 1;
        Ok(Place { admission: self.clone(), organization: organization.cloned() })
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write is under way until this is dropped.
pub(crate) struct Place {
    admission: Admission,
    organization: Option<OrganizationId>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.admission.lock();
        under_way.all -= 1;
        let Some(organization) = &self.organization else { return };
        match under_way.by_organization.get_mut(organization) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(under_way.by_organization.remove(organization)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organisation_leaves_room_for_the_others_and_a_place_is_given_back() {
        let admission = Admission::new(WriteLimits { all: 3, each: 2 });
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let first = admission.enter(Some(&acme)).unwrap();
        let _second = admission.enter(Some(&acme)).unwrap();
        assert_eq!(admission.enter(Some(&acme)).err(), Some(Full::Organization(2)));
        let third = admission.enter(Some(&globex)).unwrap();
        assert_eq!(admission.enter(None).err(), Some(Full::All(3)));
        drop(first);
        let again = admission.enter(Some(&acme)).unwrap();
        drop((third, again));
        assert_eq!(admission.lock().all, 1);
        assert_eq!(admission.lock().by_organization, [(acme, 1)].into());
    }
}
