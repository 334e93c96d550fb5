//! Tokens that were found good, so that one that comes with every request is verified once.

use super::caller::Caller;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A token's SHA-256: two tokens never share one, and none can be had back from it.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of a token.
pub(super) fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token.as_bytes()).into()
}

/// Verified tokens, at most so many. Each is good until its time is over or the keys have changed.
#[derive(Debug)]
pub(super) struct Verified {
    tokens: HashMap<Fingerprint, Entry>,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    caller: Caller,
    /// Last second since the Unix epoch at which it is good.
    until: u64,
    /// The keys it was verified with.
    generation: u64,
}

impl Verified {
    pub(super) fn new(most: usize) -> Verified {
        Verified { tokens: HashMap::new(), most }
    }

    /// Whose a token is, if it is known as good at `now` (seconds since the Unix epoch) with the keys of `generation`.
    pub(super) fn get(&self, token: &Fingerprint, generation: u64, now: u64) -> Option<Caller> {
        let entry = self.tokens.get(token)?;
        (entry.generation == generation && now <= entry.until).then(|| entry.caller.clone())
    }

    /// Remembers a token that the keys of `generation` verified.
    pub(super) fn put(&mut self, token: Fingerprint, caller: Caller, until: u64, generation: u64, now: u64) {
        if self.tokens.len() >= self.most {
            self.tokens.retain(|_, entry| entry.generation == generation && now <= entry.until);
        }
        if self.tokens.len() >= self.most {
            // All are good: each is verified once more. Rarer than what bookkeeping for every token would cost.
            self.tokens.clear();
        }
        self.tokens.insert(token, Entry { caller, until, generation });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caller() -> Caller {
        Caller { organizations: "acme".parse().unwrap(), reads: true, writes: false, sees_all: false }
    }

    proptest! {
        /// Whatever is put when: what is got is within its time and of the keys of now, and there are never too many.
        #[test]
        fn nothing_outlives_its_time_or_its_keys(
            steps in proptest::collection::vec((0_u8..20, 0_u64..50, 0_u64..3, 0_u64..50), 1..200),
        ) {
            let mut verified = Verified::new(8);
            let mut newest: HashMap<u8, (u64, u64)> = HashMap::new();
            for (token, until, generation, now) in steps {
                let got = verified.get(&[token; 32], generation, now);
                let known = newest.get(&token).is_some_and(|known| known.0 >= now && known.1 == generation);
                prop_assert!(got.is_none() || known);
                verified.put([token; 32], caller(), until, generation, now);
                newest.insert(token, (until, generation));
                prop_assert_eq!(verified.get(&[token; 32], generation, until), Some(caller()));
                prop_assert!(verified.tokens.len() <= 8);
            }
        }
    }
}
