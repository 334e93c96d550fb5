//! The list of acknowledged events: one id a line.

use record::Uuid;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// A file that ids are appended to.
pub(crate) struct AckedFile(Mutex<File>);

impl AckedFile {
    /// # Errors
    /// When the file cannot be opened for writing.
    pub(crate) fn open(path: &Path) -> io::Result<AckedFile> {
        OpenOptions::new().append(true).create(true).open(path).map(|file| AckedFile(Mutex::new(file)))
    }

    /// Appends the ids in one write. They survive the end of this process when it returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn append(&self, ids: &[Uuid]) -> io::Result<()> {
        let mut lines = String::with_capacity(ids.len() * 37);
        for id in ids {
            lines.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            lines.push('\n');
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(lines.as_bytes())
    }
}
