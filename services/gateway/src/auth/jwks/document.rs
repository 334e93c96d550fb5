//! A set of keys (RFC 7517), reduced to those that may verify tokens.

use crate::auth::verifier::{Rules, Verifier};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Keys of a set. A large issuer has some ten.
const KEYS: usize = 100;
/// Bits of an RSA key: fewer are refused by RFC 7518, section 3.3, more are slow to verify with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Keys as they were fetched at one time.
#[derive(Default)]
pub(in crate::auth) struct KeySet {
    /// Rises whenever the keys change.
    pub(in crate::auth) generation: u64,
    keys: Vec<Key>,
}

struct Key {
    jwk: Jwk,
    verifier: Verifier,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("the answer is no key set (RFC 7517): {0}")]
    NoKeySet(#[from] serde_json::Error),
    #[error("the answer has {0} keys; at most {KEYS} are read")]
    TooMany(usize),
}

#[derive(Deserialize)]
struct Document {
    // Each is read alone: one that is not understood must not hide the others (RFC 7517, section 5).
    keys: Vec<Value>,
}

impl KeySet {
    pub(super) fn parse(body: &[u8], rules: &Rules) -> Result<KeySet, DocumentError> {
        let document: Document = serde_json::from_slice(body)?;
        if document.keys.len() > KEYS {
            return Err(DocumentError::TooMany(document.keys.len()));
        }
        let known = document.keys.len();
        let keys: Vec<Key> = document.keys.into_iter().filter_map(|value| Key::read(value, rules)).collect();
        if keys.len() < known {
            tracing::debug!(left_out = known - keys.len(), "keys of the issuer that verify no tokens");
        }
        Ok(KeySet { generation: 0, keys })
    }

    /// The set as the one that follows `before`, if it differs.
    pub(super) fn after(self, before: &KeySet) -> Option<KeySet> {
        let same = self.keys.iter().map(|key| &key.jwk).eq(before.keys.iter().map(|key| &key.jwk));
        (!same).then(|| KeySet { generation: before.generation + 1, ..self })
    }

    pub(in crate::auth) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of that id for the algorithm; without an id, the only one for the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Verifier> {
        let mut able = self.keys.iter().filter(|key| key.verifier.algorithms().contains(&algorithm));
        let key = match kid {
            Some(kid) => able.find(|key| key.jwk.common.key_id.as_deref() == Some(kid)),
            None => able.next().filter(|_| able.next().is_none()),
        };
        key.map(|key| &key.verifier)
    }
}

impl Key {
    fn read(value: Value, rules: &Rules) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let algorithms = algorithms(&jwk)?;
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| is_sound(&jwk, key))?;
        let verifier = Verifier::new(key, &algorithms, rules);
        Some(Key { jwk, verifier })
    }
}

/// The algorithms that a key is for: those of its kind, or the one it names. A secret (`oct`) is none that an issuer
/// publishes.
fn algorithms(jwk: &Jwk) -> Option<Vec<Algorithm>> {
    let common = &jwk.common;
    let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies =
        common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let able: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &RSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    match common.key_algorithm {
        None => Some(able.to_vec()),
        Some(named) => {
            let named = Algorithm::try_from(named).ok().filter(|named| able.contains(named))?;
            Some(vec![named])
        }
    }
}

/// Whether the numbers of a key have the size of its kind. The library takes them as they are, and a key that is too
/// short would panic when it is used.
fn is_sound(jwk: &Jwk, key: &DecodingKey) -> bool {
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => bits(&key.n).is_some_and(|bits| RSA_BITS.contains(&bits)),
        // A point: the byte 4 and two numbers (SEC 1, section 2.3.3).
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => bytes == 65,
        AlgorithmParameters::EllipticCurve(_) => bytes == 97,
        AlgorithmParameters::OctetKeyPair(_) => bytes == 32,
        _ => false,
    }
}

/// Bits of a number in base64url.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let zeros = bytes.iter().position(|byte| *byte != 0)?;
    Some((bytes.len() - zeros) * 8 - bytes[zeros].leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    fn rules() -> Rules {
        Rules { issuer: "me".into(), audience: None, leeway: Duration::ZERO }
    }

    fn parse(keys: &Value) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), &rules()).unwrap()
    }

    fn rsa() -> Value {
        json!({"kty": "RSA", "kid": "a", "n": "_".repeat(340) + "_w", "e": "AQAB"})
    }

    fn ed() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_kind_only() {
        let keys = parse(&json!([rsa(), ed()]));
        assert_eq!(keys.len(), 2);
        for algorithm in RSA.into_iter().chain([Algorithm::EdDSA]) {
            assert!(keys.find(Some("a"), algorithm).is_some(), "{algorithm:?}");
        }
        for algorithm in
            [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512, Algorithm::ES256, Algorithm::ES384]
        {
            assert!(keys.find(Some("a"), algorithm).is_none(), "{algorithm:?}");
        }
        let named = parse(&json!([with(rsa(), "alg", json!("RS256"))]));
        assert!(named.find(Some("a"), Algorithm::RS256).is_some());
        assert!(named.find(Some("a"), Algorithm::PS256).is_none());
    }

    #[test]
    fn what_verifies_no_tokens_is_left_out_and_hides_no_other() {
        let useless = [
            json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}),
            json!({"kty": "oct", "kid": "a", "alg": "HS256", "k": "c2VjcmV0"}),
            with(rsa(), "use", json!("enc")),
            with(rsa(), "use", json!("other")),
            with(rsa(), "use", json!(7)),
            with(rsa(), "key_ops", json!(["encrypt"])),
            with(rsa(), "alg", json!("HS256")),
            with(rsa(), "alg", json!("ES256")),
            with(rsa(), "alg", json!("RSA-OAEP")),
            with(rsa(), "alg", json!("none")),
            with(rsa(), "n", json!("AQAB")),
            with(rsa(), "n", json!("")),
            with(rsa(), "n", json!("A".repeat(342))),
            with(rsa(), "n", json!("_".repeat(700))),
            with(rsa(), "n", json!("no base64!")),
            with(ed(), "x", json!("AQAB")),
            with(ed(), "x", json!("")),
            with(ed(), "x", json!("_".repeat(44))),
            with(ed(), "crv", json!("Ed448")),
            json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "EC", "crv": "P-521", "kid": "a", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "EC", "crv": "secp256k1", "kid": "a", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "new"}),
            json!(7),
            json!(null),
        ];
        for key in useless {
            assert_eq!(parse(&json!([key])).len(), 0, "{key}");
            assert_eq!(parse(&json!([key, with(ed(), "kid", json!("b"))])).len(), 1, "{key}");
        }
    }

    #[test]
    fn without_an_id_there_must_be_no_choice() {
        assert!(parse(&json!([rsa(), ed()])).find(None, Algorithm::EdDSA).is_some());
        let two = parse(&json!([ed(), with(ed(), "kid", json!("b"))]));
        assert!(
            two.find(None, Algorithm::EdDSA).is_none() && two.find(Some("b"), Algorithm::EdDSA).is_some()
        );
        assert!(two.find(Some("c"), Algorithm::EdDSA).is_none());
        let nameless = parse(&json!([{"kty": "OKP", "crv": "Ed25519", "x": ed()["x"]}]));
        assert!(nameless.find(Some("c"), Algorithm::EdDSA).is_none());
    }

    #[test]
    fn a_set_that_is_the_same_is_no_new_generation() {
        let first = parse(&json!([ed()])).after(&KeySet::default()).unwrap();
        assert_eq!(first.generation, 1);
        assert!(parse(&json!([ed()])).after(&first).is_none());
        assert_eq!(parse(&json!([ed(), rsa()])).after(&first).unwrap().generation, 2);
        assert_eq!(parse(&json!([])).after(&first).unwrap().generation, 2);
    }

    #[test]
    fn what_is_no_set_and_what_is_too_large_is_told() {
        for body in ["", "<html>", "[]", "{}", "{\"keys\":{}}", "{\"keys\":7}"] {
            let told = KeySet::parse(body.as_bytes(), &rules()).err().unwrap().to_string();
            assert!(told.contains("no key set"), "{told}");
        }
        let many = json!({ "keys": vec![ed(); KEYS + 1] }).to_string();
        let told = KeySet::parse(many.as_bytes(), &rules()).err().unwrap().to_string();
        assert!(told.contains("101 keys"), "{told}");
    }

    proptest! {
        /// Whatever numbers a key has: it is left out, or a token can be tried with it without a panic.
        #[test]
        fn no_key_panics(
            kind in prop_oneof![Just(("RSA", "")), Just(("OKP", "Ed25519")), Just(("EC", "P-256")), Just(("EC", "P-384"))],
            x in proptest::collection::vec(any::<u8>(), 0..70),
            y in "[A-Za-z0-9_-]{0,70}",
            n in "[A-Za-z0-9_-]{340,700}",
            e in "[A-Za-z0-9_-]{0,8}",
        ) {
            let x = String::from_utf8_lossy(&x).into_owned();
            let keys = [json!(x), json!(y)].map(|x| json!({"kty": kind.0, "crv": kind.1, "x": x, "y": y, "n": n, "e": e}));
            let keys = parse(&json!(keys));
            for key in &keys.keys {
                for algorithm in key.verifier.algorithms() {
                    let header = match algorithm {
                        Algorithm::EdDSA => "eyJhbGciOiJFZERTQSJ9",
                        Algorithm::ES256 => "eyJhbGciOiJFUzI1NiJ9",
                        Algorithm::ES384 => "eyJhbGciOiJFUzM4NCJ9",
                        _ => "eyJhbGciOiJSUzI1NiJ9",
                    };
                    let token = format!("{header}.e30.AAAA");
                    prop_assert!(key.verifier.verify(&token).is_err());
                }
            }
        }
    }
}
