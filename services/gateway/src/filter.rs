//! The parameters that say which events are meant, the same for search, stats and tail.

use crate::{
    auth::Caller,
    params::{bad, levels, time},
};
use process::problem::Problem;
use store::Filter;

/// Words a query may have; each costs a pass over every event looked at.
const WORDS: usize = 16;
/// Bytes of `q` and of `service`.
const TEXT_BYTES: usize = 1024;

/// Makes the filter of a request.
pub(crate) fn filter(
    caller: &Caller,
    organization: Option<&str>,
    (from, to): (Option<&str>, Option<&str>),
    level: Option<&str>,
    service: Option<&str>,
    q: Option<&str>,
) -> Result<Filter, Problem> {
    for (name, text) in [("q", q), ("service", service)] {
        if text.is_some_and(|text| text.len() > TEXT_BYTES) {
            return Err(bad(format!("{name} is longer than {TEXT_BYTES} bytes")));
        }
    }
    let words: Vec<String> = q.unwrap_or("").split_whitespace().map(str::to_owned).collect();
    if words.len() > WORDS {
        return Err(bad(format!("q has more than {WORDS} words")));
    }
    let (from, to) = (time("from", from)?, time("to", to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(bad(format!("from ({from}) is after to ({to})")));
    }
    Ok(Filter {
        organization: caller.reads(organization)?,
        from,
        to,
        levels: levels(level)?,
        service: service.filter(|service| !service.is_empty()).map(str::to_owned),
        words,
    })
}
