//! What a client speaks, told by its first bytes (RFC 9113 section 3.3: HTTP/2 with prior knowledge).

/// The first bytes of every HTTP/2 connection (RFC 9113 section 3.4). No HTTP/1.1 request begins with them.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.1 or something that its parser refuses.
    One,
    Two,
}

/// The version that a connection which begins like this speaks; `None` when more of it has to come.
pub(super) fn version(first: &[u8]) -> Option<Version> {
    let seen = first.len().min(PREFACE.len());
    if first[..seen] != PREFACE[..seen] {
        Some(Version::One)
    } else if seen == PREFACE.len() {
        Some(Version::Two)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_version_is_told_as_soon_as_it_can_be() {
        for length in 0..PREFACE.len() {
            assert_eq!(version(&PREFACE[..length]), None, "{length} bytes");
        }
        assert_eq!(version(PREFACE), Some(Version::Two));
        assert_eq!(version(&[PREFACE, &b"\0\0\0"[..]].concat()), Some(Version::Two));
        for first in ["G", "PO", "PROPFIND / HTTP/1.1", "PRI * HTTP/1.1\r\n", "\r\n"] {
            assert_eq!(version(first.as_bytes()), Some(Version::One), "{first}");
        }
    }

    proptest! {
        #[test]
        fn only_the_preface_is_http2(first in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(version(&first) == Some(Version::Two), first.starts_with(PREFACE));
        }

        #[test]
        fn one_wrong_byte_is_not_http2(place in 0..PREFACE.len(), byte: u8) {
            let mut first = PREFACE.to_vec();
            first[place] = byte;
            prop_assert_eq!(version(&first) == Some(Version::Two), byte == PREFACE[place]);
        }
    }
}
