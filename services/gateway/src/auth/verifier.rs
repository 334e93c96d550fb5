//! One key, and what it may verify.

use super::{claims::Claims, error::AuthError};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use std::time::Duration;

/// What every token has to say, whatever its key.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: Option<String>,
    pub(super) leeway: Duration,
}

/// A key with the algorithms it is for. A token of another algorithm is never tried with it, so a public key cannot be
/// taken for a secret (RFC 8725, section 3.1).
#[derive(Clone)]
pub(super) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// `algorithms` are of the key's family, at least one.
    pub(super) fn new(key: DecodingKey, algorithms: &[Algorithm], rules: &Rules) -> Verifier {
        let mut validation = Validation {
            algorithms: algorithms.to_vec(),
            leeway: rules.leeway.as_secs(),
            validate_nbf: true,
            ..Validation::default()
        };
        validation.set_issuer(&[&rules.issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Without an audience of ours a token that names one is for somebody else (RFC 7519, section 4.1.3).
        if let Some(audience) = &rules.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        Verifier { key, validation }
    }

    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.validation.algorithms
    }

    /// The claims of a token whose signature, issuer, audience and times are good.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        decoded.map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => AuthError::Expired,
            ErrorKind::ImmatureSignature => AuthError::Early,
            ErrorKind::InvalidSignature => AuthError::Signature,
            ErrorKind::InvalidIssuer => AuthError::Issuer,
            ErrorKind::InvalidAudience => AuthError::Audience,
            ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
            ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
                AuthError::Claim(claim.clone())
            }
            ErrorKind::Base64(_) => AuthError::Malformed("a part of it is not base64url"),
            _ => AuthError::Malformed("a part of it is not what a JWT has there"),
        })
    }
}
