//! One bound on the memory of all request bodies of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;

use super::{BodyError, BodyLimits, read_within};

/// How many bytes of request bodies the process holds at one time. Clones share the bound.
///
/// A body is charged as it grows, so a client that declares much and sends little holds little. The charge ends when
/// the last clone or slice of the returned [`Bytes`] is dropped. When there is no room a body is refused at once.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    used: AtomicUsize,
}

impl BodyBudget {
    /// A budget of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { shared: Arc::new(Shared { capacity, used: AtomicUsize::new(0) }) }
    }

    /// [`super::read`], charged to this budget; [`BodyError::Busy`] when it is spent.
    pub async fn read(
        &self,
        body: Body,
        content_encoding: Option<&HeaderValue>,
        limits: BodyLimits,
    ) -> Result<Bytes, BodyError> {
        let reservation = Reservation { shared: Some(Arc::clone(&self.shared)), bytes: 0 };
        read_within(body, content_encoding, limits, reservation).await
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }
}

/// What one body has charged; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Option<Arc<Shared>>,
    bytes: usize,
}

impl Reservation {
    /// Charges nothing and never refuses.
    pub(super) fn unbounded() -> Self {
        Self { shared: None, bytes: 0 }
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.shared.is_some()
    }

    /// Makes the charge `total` bytes; false, with the charge unchanged, when there is no room.
    pub(super) fn set(&mut self, total: usize) -> bool {
        let Some(shared) = &self.shared else { return true };
        if total > self.bytes {
            let more = total - self.bytes;
            let charge = |used: usize| used.checked_add(more).filter(|sum| *sum <= shared.capacity);
            if shared.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charge).is_err() {
                return false;
            }
        } else {
            shared.used.fetch_sub(self.bytes - total, Ordering::Relaxed);
        }
        self.bytes = total;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(budget: &BodyBudget) -> Reservation {
        Reservation { shared: Some(Arc::clone(&budget.shared)), bytes: 0 }
    }

    #[test]
    fn a_charge_that_does_not_fit_changes_nothing() {
        let budget = BodyBudget::new(100);
        let mut first = reservation(&budget);
        let mut second = reservation(&budget);
        assert!(first.set(60));
        assert!(!second.set(41));
        assert_eq!(budget.used(), 60);
        assert!(second.set(40));
        assert!(first.set(10), "a charge can shrink");
        assert_eq!(budget.used(), 50);
    }

    #[test]
    fn a_dropped_body_gives_its_charge_back() {
        let budget = BodyBudget::new(100);
        let mut first = reservation(&budget);
        assert!(first.set(100));
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
