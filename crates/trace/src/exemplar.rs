//! Which trace a measured value is an example of.

use crate::{Context, current};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::fmt;

/// `trace_id` as the label of an exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar(u128);

impl Exemplar {
    /// Of a context, when its trace is kept: nobody could look up another.
    #[must_use]
    pub fn of(context: Context) -> Option<Exemplar> {
        context.is_sampled().then_some(Exemplar(context.trace_id()))
    }
}

/// The exemplar of the request that is being worked for.
#[must_use]
pub fn exemplar() -> Option<Exemplar> {
    current().and_then(Exemplar::of)
}

impl EncodeLabelSet for Exemplar {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), fmt::Error> {
        ("trace_id", format!("{:032x}", self.0)).encode(encoder.encode_label())
    }
}
