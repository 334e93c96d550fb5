//! One flush: the position by compare-and-set, then rows, counts and letters.

use super::{failure::Failure, letters, minutes::Tally, positions, rows, writer::Session};
use crate::{Flush, Flushed, late};
use record::Timestamp;
use std::borrow::Cow;

/// Stores the flush. The position comes first, so that one who lost the partition does no work in vain.
pub(super) fn flush(session: &mut Session<'_>, flush: &Flush) -> Result<Flushed, Failure> {
    positions::advance(session.connection, flush)?;
    let mut tally = Tally::default();
    let mut flushed = Flushed::default();
    let mut insert = rows::Insert::prepare(session.connection)?;
    for record in &flush.rows {
        let organization = session.organizations.number(session.connection, &record.organization_id)?;
        if insert.row(organization, record)? {
            let service = Cow::Borrowed(record.service.as_str());
            tally.count(organization, record.timestamp.as_nanos(), service, record.level);
        } else {
            flushed.duplicates += 1;
        }
    }
    tally.add(session.connection)?;
    positions::count_duplicates(session.connection, flush.of, flushed.duplicates)?;
    session.late.extend(late::news(&flush.rows, Timestamp::now()));
    letters::set_aside(session, flush)?;
    Ok(flushed)
}
