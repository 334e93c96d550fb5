//! One flush: the position by compare-and-set, then rows, counts and letters.

use super::{failure::Failure, letters, minutes::Tally, positions, rows, writer::Session};
use crate::Flush;
use std::borrow::Cow;

/// Stores the flush. The position comes first, so that one who lost the partition does no work in vain.
pub(super) fn flush(session: &mut Session<'_>, flush: &Flush) -> Result<(), Failure> {
    positions::advance(session.connection, flush)?;
    let mut tally = Tally::default();
    let mut insert = rows::Insert::prepare(session.connection)?;
    for record in &flush.rows {
        let organization = session.organizations.number(session.connection, &record.organization_id)?;
        insert.row(organization, record)?;
        tally.count(organization, record.timestamp.as_nanos(), Cow::Borrowed(&record.service), record.level);
    }
    tally.add(session.connection)?;
    letters::set_aside(session, flush)
}
