//! Keys of the tests, and tokens with any header and any claims.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

macro_rules! key {
    ($name:literal) => {
        include_bytes!(concat!("../test-keys/", $name, ".test.der"))
    };
}

/// A key with its id.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    pub(crate) key: EncodingKey,
    pub(crate) algorithm: Algorithm,
}

pub(crate) fn rsa(kid: &'static str) -> Signer {
    Signer { kid, key: EncodingKey::from_rsa_der(key!("rsa-1")), algorithm: Algorithm::RS256 }
}

pub(crate) fn other_rsa(kid: &'static str) -> Signer {
    Signer { kid, key: EncodingKey::from_rsa_der(key!("rsa-2")), algorithm: Algorithm::RS256 }
}

pub(crate) fn ec(kid: &'static str) -> Signer {
    Signer { kid, key: EncodingKey::from_ec_der(key!("ec-p256")), algorithm: Algorithm::ES256 }
}

pub(crate) fn ec384(kid: &'static str) -> Signer {
    Signer { kid, key: EncodingKey::from_ec_der(key!("ec-p384")), algorithm: Algorithm::ES384 }
}

pub(crate) fn ed(kid: &'static str) -> Signer {
    Signer { kid, key: EncodingKey::from_ed_der(key!("ed25519")), algorithm: Algorithm::EdDSA }
}

impl Signer {
    /// The public key as the issuer publishes it, for any algorithm of its kind.
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk.as_object_mut().unwrap().remove("alg");
        jwk
    }

    /// A good token of this key.
    pub(crate) fn token(&self) -> String {
        self.sign(&claims())
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "typ": "JWT", "kid": self.kid});
        sign(&header.to_string(), claims, &self.key, self.algorithm)
    }
}

/// A token with any header, signed by any key in any way.
pub(crate) fn sign(header: &str, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(&claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

pub(crate) fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Claims of a good token.
pub(crate) fn claims() -> Value {
    json!({"iss": "logpipeline", "organization": "acme", "scope": "logs:read logs:write", "exp": now() + 600})
}

/// Good claims, one of them changed.
pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// Good claims, one of them missing.
pub(crate) fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token with good claims, signed by a secret.
pub(crate) fn hmac(secret: &[u8], algorithm: &str, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm});
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let algorithm = algorithm.parse().unwrap();
    sign(&header.to_string(), &claims(), &EncodingKey::from_secret(secret), algorithm)
}

/// A token with good claims and any header.
pub(crate) fn headed(header: &Value, signer: &Signer) -> String {
    sign(&header.to_string(), &claims(), &signer.key, signer.algorithm)
}
