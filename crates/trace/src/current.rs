//! The context of the request that this thread works for.

use crate::Context;
use std::cell::Cell;

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
}

/// The context of the request that is being worked for; of none outside of the poll of a request.
#[must_use]
pub fn current() -> Option<Context> {
    CURRENT.get()
}

/// Makes a context the current one of this thread, until the answer is dropped. For one poll of a request, never across
/// an await.
pub fn enter(context: Option<Context>) -> Entered {
    Entered { before: CURRENT.replace(context) }
}

/// See [`enter`].
#[derive(Debug)]
#[must_use = "the context is current as long as this lives"]
pub struct Entered {
    before: Option<Context>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_before_comes_back_also_after_a_panic() {
        let [outer, inner] = [(); 2].map(|()| Context::begin(|_| true));
        assert_eq!(current(), None);
        let entered = enter(Some(outer));
        let panicked = std::panic::catch_unwind(|| {
            let _entered = enter(Some(inner));
            assert_eq!(current(), Some(inner));
            panic!("for the test");
        });
        assert!(panicked.is_err());
        assert_eq!(current(), Some(outer));
        drop(entered);
        assert_eq!(current(), None);
    }
}
