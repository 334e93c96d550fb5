//! Who asks: bearer tokens (RFC 6750) that are JWTs signed with HS256 (RFC 7519).

use crate::Gateway;
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use process::problem::Problem;
use record::{OrganizationError, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `iss` of every token.
pub const ISSUER: &str = "logpipeline";
/// Scope that lets a token send logs.
pub const WRITE: &str = "logs:write";
/// Scope that lets a token read logs.
pub const READ: &str = "logs:read";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    organization: String,
    scope: String,
    iat: i64,
    exp: i64,
}

/// Organisations a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Organizations {
    /// Only this one.
    Only(OrganizationId),
    /// Any: a local administrator's token, with `*` as its organisation.
    Any,
}

impl std::str::FromStr for Organizations {
    type Err = OrganizationError;

    fn from_str(text: &str) -> Result<Organizations, OrganizationError> {
        if text == "*" { Ok(Organizations::Any) } else { text.parse().map(Organizations::Only) }
    }
}

impl Organizations {
    /// The name in the token.
    pub fn as_str(&self) -> &str {
        match self {
            Organizations::Only(organization) => organization.as_str(),
            Organizations::Any => "*",
        }
    }
}

/// Checks and makes tokens.
#[derive(Clone)]
pub struct Keys {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
}

impl Keys {
    /// Keys of a shared secret, which should be 32 random bytes or more (RFC 7518, section 3.2).
    pub fn new(secret: &[u8]) -> Keys {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.leeway = 5;
        Keys {
            decoding: DecodingKey::from_secret(secret),
            encoding: EncodingKey::from_secret(secret),
            validation,
        }
    }

    /// A token for an organisation.
    pub fn issue(&self, organizations: &Organizations, scopes: &str, valid_for: Duration) -> String {
        let now = Timestamp::now().as_nanos() / 1_000_000_000;
        let claims = Claims {
            iss: ISSUER.into(),
            organization: organizations.as_str().into(),
            scope: scopes.into(),
            iat: now,
            exp: now.saturating_add(i64::try_from(valid_for.as_secs()).unwrap_or(i64::MAX)),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("HS256 signs any claims that are JSON")
    }

    fn check(&self, token: &str) -> Result<Caller, AuthError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => AuthError::Expired,
                ErrorKind::InvalidSignature => AuthError::Signature,
                _ => AuthError::Malformed(error.to_string()),
            })?
            .claims;
        let organizations = claims
            .organization
            .parse()
            .map_err(|error: OrganizationError| AuthError::Malformed(error.to_string()))?;
        Ok(Caller { organizations, scope: claims.scope })
    }
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum AuthError {
    #[error("the request has no token; send `Authorization: Bearer TOKEN`")]
    Missing,
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token was not signed by this pipeline; get one made for it")]
    Signature,
    #[error("the token cannot be read: {0}")]
    Malformed(String),
    #[error("the token lacks the scope {0}")]
    Scope(&'static str),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Problem {
        // RFC 6750, section 3.
        let (status, challenge) = match error {
            AuthError::Missing => (StatusCode::UNAUTHORIZED, "Bearer realm=\"logpipeline\""),
            AuthError::Scope(_) => (StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\""),
            _ => (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""),
        };
        Problem::new(status, error.to_string())
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) organizations: Organizations,
    scope: String,
}

impl Caller {
    fn of(parts: &request::Parts, keys: &Keys, scope: &'static str) -> Result<Caller, AuthError> {
        let value = parts.headers.get(header::AUTHORIZATION).ok_or(AuthError::Missing)?;
        let text = value.to_str().map_err(|_| AuthError::Malformed("it is not ASCII".into()))?;
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(AuthError::Missing),
        };
        let caller = keys.check(token)?;
        if caller.scope.split([' ', ',']).any(|held| held == scope) {
            Ok(caller)
        } else {
            Err(AuthError::Scope(scope))
        }
    }

    /// The organisation whose logs the caller reads, `named` being what the request says.
    pub(crate) fn reads(&self, named: Option<&str>) -> Result<OrganizationId, Problem> {
        let malformed = |error: OrganizationError| Problem::new(StatusCode::BAD_REQUEST, error.to_string());
        let named = named.map(|name| name.parse::<OrganizationId>().map_err(malformed)).transpose()?;
        match (&self.organizations, named) {
            (Organizations::Only(own), None) => Ok(own.clone()),
            (Organizations::Only(own), Some(named)) if named == *own => Ok(named),
            (Organizations::Only(own), Some(named)) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("the token is for the organisation {own}, not for {named}"),
            )),
            (Organizations::Any, Some(named)) => Ok(named),
            (Organizations::Any, None) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the token is for any organisation: say which to read with organization=NAME",
            )),
        }
    }
}

/// A caller that may read.
pub(crate) struct MayRead(pub(crate) Caller);

impl FromRequestParts<Gateway> for MayRead {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        Ok(MayRead(Caller::of(parts, gateway.keys(), READ)?))
    }
}

/// A caller that may write.
pub(crate) struct MayWrite(pub(crate) Caller);

impl FromRequestParts<Gateway> for MayWrite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        Ok(MayWrite(Caller::of(parts, gateway.keys(), WRITE)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn caller(token: &str, keys: &Keys, scope: &'static str) -> Result<Caller, AuthError> {
        let request =
            http::Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
        Caller::of(&request.into_parts().0, keys, scope)
    }

    #[test]
    fn a_token_is_good_for_its_organisation_and_scopes_only() {
        let keys = Keys::new(b"secret");
        let token = keys.issue(&"acme".parse().unwrap(), READ, HOUR);
        let reader = caller(&token, &keys, READ).unwrap();
        assert_eq!(reader.reads(None).unwrap().as_str(), "acme");
        assert_eq!(reader.reads(Some("acme")).unwrap().as_str(), "acme");
        assert_eq!(reader.reads(Some("other")).unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(caller(&token, &keys, WRITE).unwrap_err(), AuthError::Scope(WRITE));
    }

    #[test]
    fn a_token_of_another_secret_an_expired_one_and_none_are_refused() {
        let keys = Keys::new(b"secret");
        let organization = "acme".parse().unwrap();
        let foreign = Keys::new(b"another").issue(&organization, READ, HOUR);
        assert_eq!(caller(&foreign, &keys, READ).unwrap_err(), AuthError::Signature);
        let mut expired = Keys::new(b"secret");
        expired.validation.leeway = 0;
        let claims =
            Claims { iss: ISSUER.into(), organization: "acme".into(), scope: READ.into(), iat: 0, exp: 1 };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.encoding).unwrap();
        assert_eq!(caller(&token, &keys, READ).unwrap_err(), AuthError::Expired);
        assert!(matches!(caller("x.y.z", &keys, READ).unwrap_err(), AuthError::Malformed(_)));
        let none = http::Request::new(()).into_parts().0;
        assert_eq!(Caller::of(&none, &keys, READ).unwrap_err(), AuthError::Missing);
    }

    /// `{"alg":"none"}` and a key of another kind are the classic ways around a signature.
    #[test]
    fn an_unsigned_token_is_refused() {
        let keys = Keys::new(b"secret");
        let good = keys.issue(&Organizations::Any, READ, HOUR);
        let claims = good.split('.').nth(1).unwrap();
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        assert!(matches!(caller(&none, &keys, READ), Err(AuthError::Malformed(_) | AuthError::Signature)));
    }
}
