//! The token of a request: one, in one header (RFC 6750, section 2.1).

use super::error::AuthError;
use axum::http::{header, request};

/// Bytes a token may have. Those of common issuers have one to four thousand.
const TOKEN_BYTES: usize = 8 * 1024;

/// The token: three parts of base64url, not looked into yet.
pub(super) fn bearer(parts: &request::Parts) -> Result<&str, AuthError> {
    if parts.uri.query().is_some_and(names_a_token) {
        // Addresses are written to logs (RFC 6750, section 5.3), and two ways to send a token are one too many.
        return Err(AuthError::Several("a token in its address"));
    }
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Several("several Authorization headers"));
    }
    read(value.as_bytes())
}

fn names_a_token(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next().is_some_and(|name| name == "access_token"))
}

fn read(value: &[u8]) -> Result<&str, AuthError> {
    const SCHEME: &[u8] = b"bearer";
    let at = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(at);
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(AuthError::Missing);
    }
    let token = rest.trim_ascii();
    if token.is_empty() {
        return Err(AuthError::Missing);
    }
    if token.len() > TOKEN_BYTES {
        return Err(AuthError::TooLong(TOKEN_BYTES));
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if !token.iter().all(allowed) {
        return Err(AuthError::Malformed("it has characters that no JWT has"));
    }
    if token.iter().filter(|byte| **byte == b'.').count() != 2 {
        return Err(AuthError::Malformed("it has not the three parts of a signed JWT"));
    }
    std::str::from_utf8(token).map_err(|_| AuthError::Malformed("it is not ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use proptest::prelude::*;

    fn parts(uri: &str, values: &[&str]) -> request::Parts {
        let builder = Request::builder().uri(uri);
        let builder = values.iter().fold(builder, |builder, value| builder.header("authorization", *value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_token_in_one_header_is_read() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(bearer(&parts("/", &[value])).unwrap(), "a.b.c", "{value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("Bearer a.b.{}", "c".repeat(TOKEN_BYTES));
        let table: &[(&[&str], &str)] = &[
            (&[], "missing"),
            (&[""], "missing"),
            (&["Bearer"], "missing"),
            (&["Bearer "], "missing"),
            (&["Basic a.b.c"], "missing"),
            (&["Bearera.b.c"], "missing"),
            (&["a.b.c"], "missing"),
            (&["Bearer\ta.b.c"], "missing"),
            (&["DPoP a.b.c"], "missing"),
            (&["Bearer a.b.c", "Bearer a.b.c"], "several"),
            (&["Basic x", "Bearer a.b.c"], "several"),
            (&["Bearer a.b.c, Bearer d.e.f"], "malformed"),
            (&["Bearer a.b.c d.e.f"], "malformed"),
            (&["Bearer Basic a.b.c"], "malformed"),
            (&["Bearer a.b.c="], "malformed"),
            (&["Bearer a.b"], "malformed"),
            (&["Bearer abc"], "malformed"),
            // A JWE has five parts (RFC 7516, section 3.1).
            (&["Bearer a.b.c.d.e"], "malformed"),
            (&["Bearer ä.b.c"], "malformed"),
            (&[&long], "too_long"),
        ];
        for (values, reason) in table {
            let refused = bearer(&parts("/", values)).unwrap_err();
            assert_eq!(refused.reason(), *reason, "{values:?}");
        }
    }

    #[test]
    fn a_token_in_the_address_is_refused_beside_one_in_the_header_too() {
        for uri in ["/?access_token=a.b.c", "/?q=x&access_token=a.b.c", "/?access_token"] {
            assert_eq!(bearer(&parts(uri, &["Bearer a.b.c"])).unwrap_err().reason(), "several", "{uri}");
        }
        assert!(bearer(&parts("/?q=access_token", &["Bearer a.b.c"])).is_ok());
    }

    proptest! {
        #[test]
        fn no_header_panics_and_what_is_read_is_a_token(
            value in proptest::collection::vec(any::<u8>(), 0..200),
            scheme in "(?i)bearer {1,3}",
        ) {
            for value in [value.clone(), [scheme.as_bytes(), &value].concat()] {
                if let Ok(token) = read(&value) {
                    prop_assert!(token.len() <= TOKEN_BYTES && token.matches('.').count() == 2);
                    prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
                }
            }
        }

        #[test]
        fn every_token_is_read_back(token in "[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99}") {
            let value = format!("Bearer {token}");
            prop_assert_eq!(read(value.as_bytes()).unwrap(), token);
        }
    }
}
