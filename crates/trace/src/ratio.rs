//! Which of the traces that begin here are sampled.

use std::str::FromStr;

/// A share of all traces, by their ids: whoever samples the same share samples the same traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Ids whose last 63 bits are below this are sampled, as the SDKs of OpenTelemetry do it (`TraceIdRatioBased`).
    below: u64,
}

/// A text is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use a number from 0 (none) to 1 (all)")]
pub struct RatioError;

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Ratio, RatioError> {
        let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or(RatioError)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 2^63")]
        Ok(Ratio { below: (share * (1_u64 << 63) as f64) as u64 })
    }
}

impl Ratio {
    /// Whether the trace is sampled.
    #[must_use]
    pub fn samples(self, trace_id: u128) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the last 64 bits are meant")]
        let last = trace_id as u64;
        (last >> 1) < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for bad in ["", "-0.1", "1.1", "NaN", "inf", "10%"] {
            assert_eq!(bad.parse::<Ratio>(), Err(RatioError), "{bad}");
        }
    }

    #[test]
    fn the_share_is_sampled_and_the_same_by_everybody() {
        let ids: Vec<u128> = (0..20_000).map(|_| rand::random()).collect();
        let sampled = |share: &str| {
            let ratio: Ratio = share.parse().unwrap();
            ids.iter().filter(|id| ratio.samples(**id)).copied().collect::<Vec<_>>()
        };
        assert_eq!((sampled("0").len(), sampled("1").len()), (0, ids.len()));
        let (few, more) = (sampled("0.1"), sampled("0.3"));
        // Six standard deviations.
        assert!((1_745..=2_255).contains(&few.len()), "{}", few.len());
        assert!(few.iter().all(|id| more.contains(id)));
    }
}
