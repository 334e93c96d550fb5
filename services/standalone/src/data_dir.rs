//! The data directory: where the pipeline keeps everything, and the secret that signs its tokens.

use anyhow::{Context, bail};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Bytes of the secret: as many as HS256's hash has (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// An open data directory.
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    pub(crate) secret: Vec<u8>,
    /// Whether it was made just now.
    pub(crate) is_new: bool,
}

/// Opens the directory; makes it, and the secret in it, when missing. Both are for their owner only.
pub(crate) fn open(path: &Path) -> anyhow::Result<DataDir> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data directory {} cannot be made", path.display()))?;
    let file = path.join("secret");
    let made = make_secret(&file).with_context(|| format!("the secret {} cannot be made", file.display()))?;
    Ok(DataDir { path: path.to_owned(), secret: read_secret(&file)?, is_new: made })
}

/// Makes the secret unless it is there. It appears whole or not at all: written aside, then linked into place.
fn make_secret(file: &Path) -> anyhow::Result<bool> {
    if file.exists() {
        return Ok(false);
    }
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let aside = file.with_extension(format!("new.{}", std::process::id()));
    let mut writer = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    writeln!(writer, "{}", hex(&bytes))?;
    writer.sync_all()?;
    let linked = fs::hard_link(&aside, file);
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(true),
        // Another process made it meanwhile; that one counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_secret(file: &Path) -> anyhow::Result<Vec<u8>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("the secret {} cannot be read", file.display()))?;
    if fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        bail!("others can read the secret {0}; run: chmod 600 {0}", file.display());
    }
    let digits = text.trim();
    if digits.len() != 2 * SECRET_BYTES || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!(
            "the secret {} is not {} hexadecimal digits; remove it to have a new one made (old tokens end)",
            file.display(),
            2 * SECRET_BYTES
        );
    }
    Ok(digits.as_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = open(&path).unwrap();
        let again = open(&path).unwrap();
        assert!(first.is_new && !again.is_new);
        assert_eq!(first.secret, again.secret);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("secret"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        let file = dir.path().join("secret");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open(dir.path()).err().unwrap().to_string().contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "short").unwrap();
        assert!(open(dir.path()).err().unwrap().to_string().contains("64 hexadecimal digits"));
    }
}
