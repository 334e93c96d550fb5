//! Ids of events: UUIDv7 (RFC 9562, section 5.7), ascending within a run.

use crate::rng::Rng;
use record::Uuid;

/// Bits after the milliseconds: 12 of `rand_a` and 62 of `rand_b`.
const TAIL_BITS: u32 = 74;

/// Makes ids that ascend in the order they were asked for, also within one millisecond ("monotonic random",
/// RFC 9562, section 6.2, method 2), so that events with the same timestamp keep their order where ids break ties.
#[derive(Debug)]
pub(crate) struct Ids {
    rng: Rng,
    millis: u64,
    tail: u128,
}

impl Ids {
    /// Ids whose random part comes from `rng`. Seed it from entropy: two runs must not make the same ids.
    pub(crate) fn new(rng: Rng) -> Ids {
        Ids { rng, millis: 0, tail: 0 }
    }

    /// The next id at `now_millis` since 1970; a clock that steps back does not break the order.
    pub(crate) fn next(&mut self, now_millis: u64) -> Uuid {
        if now_millis > self.millis {
            self.restart(now_millis);
        } else {
            self.tail += 1 + u128::from(self.rng.next() >> 32);
            if self.tail >> TAIL_BITS != 0 {
                self.restart(self.millis + 1);
            }
        }
        self.current()
    }

    /// A new millisecond: random bits, the highest left 0 as room to count.
    fn restart(&mut self, millis: u64) {
        self.millis = millis;
        let random = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        self.tail = random >> (128 - TAIL_BITS + 1);
    }

    fn current(&self) -> Uuid {
        let rand_a = (self.tail >> 62) & 0xfff;
        let rand_b = self.tail & ((1 << 62) - 1);
        let millis = u128::from(self.millis) & ((1 << 48) - 1);
        Uuid::from_u128(millis << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_ascend_even_when_the_clock_steps_back() {
        let mut ids = Ids::new(Rng::seeded(3));
        let mut last = ids.next(1_700_000_000_000);
        for step in 0..10_000_u64 {
            let id = ids.next(1_700_000_000_000 + step / 100 - (step % 3));
            assert!(id > last, "{id} after {last}");
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.as_bytes()[8] >> 6, 0b10, "the variant of RFC 9562");
            last = id;
        }
    }

    #[test]
    fn the_first_48_bits_are_the_milliseconds() {
        let id = Ids::new(Rng::seeded(3)).next(0x0123_4567_89ab);
        assert!(id.to_string().starts_with("01234567-89ab-7"), "{id}");
    }

    #[test]
    fn a_full_millisecond_goes_on_in_the_next() {
        let mut ids = Ids { rng: Rng::seeded(1), millis: 5, tail: (1 << TAIL_BITS) - 1 };
        let before = ids.current();
        assert!(ids.next(5) > before);
        assert_eq!(ids.millis, 6);
    }
}
