//! What the gateway tells a producer with a request: whose it is, signed, and how long the answer is waited for; and what
//! the producer tells with its answer.
//!
//! The producer believes nobody else. Both hold the same [`Key`]; the gateway signs an organisation and an expiry with
//! it, the producer checks them. Who can reach a producer's port, and has no key, writes nothing.
//!
//! ```
//! use handoff::Key;
//! use std::time::{Duration, SystemTime};
//! let key = Key::new(b"at least 32 random bytes, for real");
//! let now = SystemTime::now();
//! let value = key.sign("acme", now + Duration::from_secs(60));
//! assert_eq!(key.verify(&value, now), Ok("acme"));
//! ```

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{Duration, SystemTime};

/// Header of a request to a producer that says whose it is: what [`Key::sign`] makes.
pub const IDENTITY: &str = "logpipeline-identity";
/// Header of a request to a producer: milliseconds, decimal, after which nobody waits for the answer any more.
pub const TIMEOUT: &str = "logpipeline-timeout-ms";
/// Header of a producer's answer: the number of events that the request had, accepted or not. The limits count by it.
pub const EVENTS: &str = "logpipeline-events";
/// The organisation of a caller that may write for any: each event names its own.
pub const ANY: &str = "*";
/// Bytes that a key has at least, as the hash has (RFC 2104, section 3).
pub const KEY_BYTES: usize = 32;

/// What clocks of gateway and producer may differ by.
const LEEWAY: Duration = Duration::from_secs(30);
const VERSION: &str = "v1";

/// The secret that gateway and producers share. It shows itself nowhere.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why a header is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// Not of the form that [`Key::sign`] gives it.
    #[error("it is malformed")]
    Malformed,
    /// Signed with another key, or changed since.
    #[error("its signature is not that of our key")]
    Signature,
    /// Too old, by this clock.
    #[error("it has expired, or the clocks of gateway and producer differ")]
    Expired,
}

impl Key {
    /// The key of these bytes, which should be [`KEY_BYTES`] random ones or more.
    pub fn new(secret: &[u8]) -> Key {
        Key(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The value of [`IDENTITY`] for an organisation: version, expiry in seconds since 1970, HMAC-SHA256 in base64url, and
    /// the organisation, with `;` between them.
    pub fn sign(&self, organization: &str, expires: SystemTime) -> String {
        let expires = seconds(expires);
        let mac = self.mac(organization, expires).finalize().into_bytes();
        format!("{VERSION};{expires};{};{organization}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The organisation that a value of [`IDENTITY`] names.
    ///
    /// # Errors
    /// [`Disbelief`].
    pub fn verify<'a>(&self, value: &'a str, now: SystemTime) -> Result<&'a str, Disbelief> {
        let mut fields = value.splitn(4, ';');
        let mut field = || fields.next().ok_or(Disbelief::Malformed);
        let (version, expires, mac, organization) = (field()?, field()?, field()?, field()?);
        let expires: u64 = expires.parse().map_err(|_| Disbelief::Malformed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Disbelief::Malformed)?;
        if version != VERSION {
            return Err(Disbelief::Malformed);
        }
        self.mac(organization, expires).verify_slice(&mac).map_err(|_| Disbelief::Signature)?;
        match seconds(now) <= expires.saturating_add(LEEWAY.as_secs()) {
            true => Ok(organization),
            false => Err(Disbelief::Expired),
        }
    }

    fn mac(&self, organization: &str, expires: u64) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(VERSION.as_bytes());
        mac.update(&expires.to_be_bytes());
        mac.update(organization.as_bytes());
        mac
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> Key {
        Key::new(&[7; KEY_BYTES])
    }

    #[test]
    fn what_is_signed_is_believed_until_it_expires() {
        let now = SystemTime::now();
        let value = key().sign("a;b/c", now + Duration::from_secs(10));
        assert_eq!(key().verify(&value, now), Ok("a;b/c"));
        assert_eq!(key().verify(&value, now + LEEWAY), Ok("a;b/c"));
        assert_eq!(key().verify(&value, now + LEEWAY + Duration::from_secs(12)), Err(Disbelief::Expired));
        assert_eq!(Key::new(b"another").verify(&value, now), Err(Disbelief::Signature));
        assert_eq!(format!("{:?}", key()), "Key");
    }

    #[test]
    fn no_field_can_be_changed() {
        let now = SystemTime::now();
        let value = key().sign("acme", now);
        let fields: Vec<&str> = value.split(';').collect();
        for (place, other) in
            [(0, "v2"), (1, "99999999999"), (2, "AAAA"), (2, ""), (3, "globex"), (3, "*"), (3, "")]
        {
            let mut changed = fields.clone();
            changed[place] = other;
            assert!(key().verify(&changed.join(";"), now).is_err(), "{changed:?}");
        }
        for malformed in ["", "acme", "v1;1;2", ";;;", "v1;-1;AAAA;acme"] {
            assert_eq!(key().verify(malformed, now), Err(Disbelief::Malformed), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_believed(text in "(v1;[0-9]{1,12};)?\\PC{0,60}") {
            prop_assert!(key().verify(&text, SystemTime::UNIX_EPOCH).is_err());
        }
    }
}
