//! The file of limits.
//!
//! ```json
//! {
//!   "default": { "write": { "perSecond": 1000, "burst": 5000 }, "read": { "perSecond": 20, "burst": 40 } },
//!   "organizations": { "acme": { "write": { "perSecond": 50000, "burst": 100000 } } }
//! }
//! ```

use super::{Kind, Name};
use resilience::Limit;
use serde::Deserialize;
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// Bytes of a file of limits.
const MOST_BYTES: u64 = 4 << 20;

/// The limits of all organisations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    default: Kinds,
    organizations: BTreeMap<String, Kinds>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kinds {
    write: Option<Limit>,
    read: Option<Limit>,
}

impl Kinds {
    fn of(&self, kind: Kind) -> Option<Limit> {
        match kind {
            Kind::Write => self.write,
            Kind::Read => self.read,
        }
    }
}

/// Why a file of limits cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is far too long.
    #[error("the file has more than {MOST_BYTES} bytes")]
    TooLong,
    /// Its text is not what it has to be.
    #[error("{0}; write it like {{\"default\":{{\"write\":{{\"perSecond\":1000,\"burst\":5000}}}}}}")]
    Malformed(#[from] serde_json::Error),
    /// A number that makes no sense.
    #[error("{whose}, {kind}: perSecond and burst have to be whole numbers from 1 to {}", Limit::MOST)]
    OutOfRange {
        /// `default`, or an organisation.
        whose: String,
        /// `write` or `read`.
        kind: &'static str,
    },
    /// An organisation that cannot be.
    #[error("organizations: {0:?} is no name of an organisation")]
    Name(String),
}

impl Limits {
    /// The limit of one kind for an organisation; `None`: there is none. What an organisation's own entry does not name
    /// is as by default. Tokens for any organisation have the entry `*` and no default.
    pub fn of(&self, name: &Name, kind: Kind) -> Option<Limit> {
        let own = self.organizations.get(name.as_str()).and_then(|kinds| kinds.of(kind));
        own.or_else(|| self.default.of(kind).filter(|_| !name.is_any()))
    }

    /// Reads them from the text of a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn parse(text: &[u8]) -> Result<Limits, FileError> {
        // A list would be read as the fields in their order, and an empty one as no limits at all.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(FileError::Malformed(serde::de::Error::custom("a list is no object")));
        }
        let raw: RawFile = serde_json::from_slice(text)?;
        let default = raw.default.check("default")?;
        let organizations = raw.organizations.into_iter().map(|(name, kinds)| {
            if name.parse::<crate::auth::Organizations>().is_err() {
                return Err(FileError::Name(name));
            }
            let kinds = kinds.check(&name)?;
            Ok((name, kinds))
        });
        Ok(Limits { default, organizations: organizations.collect::<Result<_, _>>()? })
    }
}

/// The bytes of a file of limits. What it names may be a link, and another one the next time.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES { Err(FileError::TooLong) } else { Ok(text) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    default: RawKinds,
    #[serde(default)]
    organizations: BTreeMap<String, RawKinds>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawKinds {
    write: Option<RawLimit>,
    read: Option<RawLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawLimit {
    per_second: u32,
    burst: u32,
}

impl RawKinds {
    fn check(self, whose: &str) -> Result<Kinds, FileError> {
        let check = |kind: Kind, raw: Option<RawLimit>| {
            let of = |raw: RawLimit| {
                let out_of_range = || FileError::OutOfRange { whose: whose.to_owned(), kind: kind.name() };
                Limit::new(raw.per_second, raw.burst).ok_or_else(out_of_range)
            };
            raw.map(of).transpose()
        };
        Ok(Kinds { write: check(Kind::Write, self.write)?, read: check(Kind::Read, self.read)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = r#"{
        "default": { "write": { "perSecond": 10, "burst": 20 }, "read": { "perSecond": 1, "burst": 2 } },
        "organizations": { "acme": { "write": { "perSecond": 50, "burst": 60 } }, "*": { "read": { "perSecond": 5, "burst": 6 } } }
    }"#;

    fn name(text: &str) -> Name {
        Name::of(&text.parse().unwrap())
    }

    #[test]
    fn an_organisation_has_its_own_or_the_default() {
        let limits = Limits::parse(FILE.as_bytes()).unwrap();
        let of = |text, kind| limits.of(&name(text), kind).map(|limit| (limit.per_second(), limit.burst()));
        assert_eq!(of("acme", Kind::Write), Some((50, 60)));
        assert_eq!(of("acme", Kind::Read), Some((1, 2)));
        assert_eq!(of("other", Kind::Write), Some((10, 20)));
        assert_eq!((of("*", Kind::Write), of("*", Kind::Read)), (None, Some((5, 6))));
        assert_eq!(Limits::parse(b"{}").unwrap().of(&name("acme"), Kind::Read), None);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, words) in [
            ("", "EOF"),
            (" []", "a list is no object"),
            (r#"{"defaults":{}}"#, "unknown field `defaults`"),
            (r#"{"default":{"write":{"perSecond":1,"burst":2,"x":1}}}"#, "unknown field `x`"),
            (r#"{"default":{"write":{"perSecond":1}}}"#, "missing field `burst`"),
            (r#"{"default":{"read":{"perSecond":0,"burst":1}}}"#, "default, read: perSecond and burst"),
            (r#"{"organizations":{"acme":{"write":{"perSecond":1,"burst":4000000000}}}}"#, "acme, write"),
            (r#"{"organizations":{"a b":{}}}"#, "\"a b\" is no name"),
            (r#"{"default":{"write":{"perSecond":-1,"burst":1}}}"#, "-1"),
        ] {
            let error = Limits::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<Vec<u8>>()) {
            let _ = Limits::parse(&text);
        }
    }
}
