//! The organisation an event belongs to: the tenant, and the key on the topic.

use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;
use std::{fmt, str::FromStr};

/// An organisation's name: 1 to 128 of `A-Z a-z 0-9 . _ : / -`.
///
/// The grammar keeps names safe in URLs, metric labels and SQL text search alike, and leaves `*` free to mean
/// "any organisation" in an administrator's token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct OrganizationId(SmolStr);

/// The text is no organisation name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("organizationId must be 1 to 128 of A-Z a-z 0-9 . _ : / -, not `{0}`")]
pub struct OrganizationError(String);

impl OrganizationId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationId {
    type Err = OrganizationError;

    fn from_str(text: &str) -> Result<Self, OrganizationError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(OrganizationId(SmolStr::new(text)))
        } else {
            Err(OrganizationError(text.chars().take(40).collect()))
        }
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OrganizationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl serde::de::Visitor<'_> for Name {
            type Value = OrganizationId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an organisation's name")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OrganizationId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for good in ["acme", "a", "Team-7/eu.west:1_x", &"x".repeat(128)] {
            assert!(good.parse::<OrganizationId>().is_ok(), "{good}");
        }
        for bad in ["", "*", "a b", "é", "a\0b", "a\nb", &"x".repeat(129)] {
            assert!(bad.parse::<OrganizationId>().is_err(), "{bad:?}");
        }
    }
}
