//! Partitions that the reader is to let go.

use super::desk::Desk;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(super) struct Leaving {
    pub(super) partitions: Vec<i32>,
    /// Whether the group waits for our answer.
    pub(super) answer_group: bool,
    released: Arc<AtomicBool>,
    deadline: Instant,
}

impl Leaving {
    /// Tells the reader; what it was never told of it need not let go.
    pub(super) fn begin(
        desk: &Arc<Desk>,
        partitions: Vec<i32>,
        answer_group: bool,
        deadline: Instant,
    ) -> Leaving {
        let released = Arc::new(AtomicBool::new(false));
        let (flag, at) = (released.clone(), desk.clone());
        let release = move || {
            flag.store(true, Ordering::Release);
            at.bell.ring();
        };
        if !desk.revoke(&partitions, Box::new(release)) {
            released.store(true, Ordering::Release);
        }
        Leaving { partitions, answer_group, released, deadline }
    }

    /// Whether the reader has let go, or has had its time.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let released = self.released.load(Ordering::Acquire);
        if !released && now >= self.deadline {
            tracing::warn!(partitions = ?self.partitions, "the reader did not let go in time");
        }
        released || now >= self.deadline
    }
}
