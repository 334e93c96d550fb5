//! Which organisation an event belongs to.

use crate::rng::Rng;

/// How events are spread over organisations.
#[derive(Debug, Clone)]
pub(crate) struct Organisations {
    names: Vec<String>,
    /// The upper end of each organisation's part of `0..2^64`; the last one is the largest number.
    ends: Vec<u64>,
}

impl Organisations {
    /// The token's only organisation: events need not name it.
    pub(crate) fn from_token() -> Organisations {
        Organisations { names: Vec::new(), ends: Vec::new() }
    }

    /// All events to this one.
    pub(crate) fn only(name: &str) -> Organisations {
        Organisations { names: vec![name.to_owned()], ends: vec![u64::MAX] }
    }

    /// `org-001` to `org-N`. The share of the k-th is proportional to `1 / k^skew` (Zipf's law): 0 is an even
    /// spread, 1 makes the first as large as the second and the third together and more.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares of 2^64 to 53 bits; `as` saturates"
    )]
    pub(crate) fn spread(count: usize, skew: f64) -> Organisations {
        let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-skew)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut ends: Vec<u64> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                (sum / total * u64::MAX as f64) as u64
            })
            .collect();
        if let Some(last) = ends.last_mut() {
            *last = u64::MAX;
        }
        Organisations { names: (1..=count).map(|number| format!("org-{number:03}")).collect(), ends }
    }

    /// The next event's organisation; `None` when the token says it.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<&str> {
        if self.names.len() <= 1 {
            return self.names.first().map(String::as_str);
        }
        let drawn = rng.next();
        Some(&self.names[self.ends.partition_point(|end| *end < drawn)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(organisations: &Organisations) -> Vec<usize> {
        let mut counts = vec![0; organisations.names.len()];
        let mut rng = Rng::seeded(9);
        for _ in 0..100_000 {
            let name = organisations.pick(&mut rng).unwrap();
            counts[name.trim_start_matches("org-").parse::<usize>().unwrap() - 1] += 1;
        }
        counts
    }

    #[test]
    fn without_skew_the_spread_is_even() {
        let counts = counts(&Organisations::spread(10, 0.0));
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }

    #[test]
    fn skew_makes_hot_organisations_and_leaves_none_out() {
        let counts = counts(&Organisations::spread(50, 1.0));
        // The harmonic number of 50 is about 4.5, so the first has about 22 of 100 events.
        assert!((20_000..25_000).contains(&counts[0]), "{counts:?}");
        assert!(counts[0] > 3 * counts[3] && counts[49] > 200, "{counts:?}");
    }

    #[test]
    fn names_have_three_digits_or_more() {
        let many = Organisations::spread(1_200, 0.0);
        assert_eq!((many.names[0].as_str(), many.names[1_199].as_str()), ("org-001", "org-1200"));
        assert_eq!(Organisations::from_token().pick(&mut Rng::seeded(1)), None);
        assert_eq!(Organisations::only("acme").pick(&mut Rng::seeded(1)), Some("acme"));
    }
}
