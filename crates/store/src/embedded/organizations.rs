//! Numbers of organisations: rows and indexes hold a small integer in place of a name.

use record::OrganizationId;
use rusqlite::{Connection, OptionalExtension, Result};
use std::collections::HashMap;

/// Names kept in memory; beyond so many, all are looked up anew.
const REMEMBERED: usize = 100_000;

/// Numbers that the writer knows already. Forgotten whenever something was rolled back.
#[derive(Default)]
pub(super) struct Organizations(HashMap<OrganizationId, i64>);

impl Organizations {
    /// The number of an organisation; a new one gets the next.
    pub(super) fn number(&mut self, connection: &Connection, name: &OrganizationId) -> Result<i64> {
        if let Some(number) = self.0.get(name) {
            return Ok(*number);
        }
        let number = match look_up(connection, name)? {
            Some(number) => number,
            None => connection
                .prepare_cached("INSERT INTO organizations (name) VALUES (?) RETURNING number")?
                .query_row([name.as_str()], |row| row.get(0))?,
        };
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(name.clone(), number);
        Ok(number)
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The number of an organisation, if it ever stored an event.
pub(super) fn look_up(connection: &Connection, name: &OrganizationId) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM organizations WHERE name = ?")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()
}
