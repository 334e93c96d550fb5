//! Which key judges a token.

use super::{
    caller::{Caller, Organizations},
    claims::{Claims, Names},
    config::Config,
    error::AuthError,
    jwks::{Jwks, causes},
    metrics::Refusals,
    verified::{Verified, fingerprint},
    verifier::{Rules, Verifier},
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header};
use prometheus_client::registry::Registry;
use record::Timestamp;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Verified tokens that are remembered, of about 150 bytes each.
const REMEMBERED: usize = 20_000;

/// The issuer's keys cannot be fetched at all, whatever the network.
#[derive(Debug, thiserror::Error)]
#[error(
    "the issuer's keys cannot be fetched: {0}; are there certificates to trust (LOGPIPELINE_JWKS_CA, SSL_CERT_FILE)?"
)]
pub struct OpenError(String);

/// Checks tokens, and makes those of the shared secret; clones share everything.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    secret: Option<Secret>,
    issuer: Option<Issuer>,
    rules: Rules,
    names: Names,
    refusals: Refusals,
    verified: Mutex<Verified>,
}

struct Secret {
    verifier: Verifier,
    encoding: EncodingKey,
}

struct Issuer {
    jwks: Jwks,
    any_organization: bool,
}

impl Keys {
    /// Keys of a shared secret alone, which should be 32 random bytes or more (RFC 7518, section 3.2).
    pub fn new(secret: &[u8]) -> Keys {
        let config = Config { secret: Some(secret.to_vec()), ..Config::default() };
        Keys::with(config, None)
    }

    /// Keys as configured. Those of an issuer are fetched from now on until `stop`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        mut config: Config,
        registry: &mut Registry,
        stop: CancellationToken,
    ) -> Result<Keys, OpenError> {
        let rules = rules(&config);
        let issuer = config.jwks.take().map(|config| {
            let any_organization = config.any_organization;
            let jwks =
                Jwks::open(config, rules, registry, stop).map_err(|error| OpenError(causes(&error)))?;
            Ok::<_, OpenError>(Issuer { jwks, any_organization })
        });
        let keys = Keys::with(config, issuer.transpose()?);
        keys.register(registry);
        Ok(keys)
    }

    fn with(config: Config, issuer: Option<Issuer>) -> Keys {
        let rules = rules(&config);
        let secret = config.secret.map(|secret| Secret {
            verifier: Verifier::new(DecodingKey::from_secret(&secret), &[Algorithm::HS256], &rules),
            encoding: EncodingKey::from_secret(&secret),
        });
        let (names, refusals) = (config.names, Refusals::default());
        let verified = Mutex::new(Verified::new(REMEMBERED));
        Keys(Arc::new(Inner { secret, issuer, rules, names, refusals, verified }))
    }

    /// Registers what is measured.
    pub fn register(&self, registry: &mut Registry) {
        self.0.refusals.register(registry);
    }

    /// A token for an organisation, signed with the shared secret.
    ///
    /// # Panics
    /// When there is no secret: only who made the keys with one makes tokens.
    pub fn issue(&self, organizations: &Organizations, scopes: &str, valid_for: Duration) -> String {
        let secret = self.0.secret.as_ref().expect("tokens are made by who has a secret");
        let now = now();
        let claims = json!({
            "iss": self.0.rules.issuer,
            "organization": organizations.as_str(),
            "scope": scopes,
            "iat": now,
            "exp": now.saturating_add(valid_for.as_secs()),
        });
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret.encoding)
            .expect("HS256 signs any claims that are JSON")
    }

    pub(super) fn refused(&self, error: &AuthError) {
        self.0.refusals.count(error);
        tracing::debug!(reason = error.reason(), "a request is not let in");
    }

    /// Whose a token is.
    pub(super) async fn check(&self, token: &str) -> Result<Caller, AuthError> {
        let print = fingerprint(token);
        let remembered =
            self.generation().and_then(|generation| self.verified().get(&print, generation, now()));
        if let Some(caller) = remembered {
            return Ok(caller);
        }
        let header = understood(token)?;
        let (generation, claims, any_organization) = match header.alg.family() {
            // Who has the secret makes any token, so one for any organisation is let in.
            AlgorithmFamily::Hmac => (self.generation(), self.signed_by_secret(token, header.alg)?, true),
            _ => {
                let issuer = self.0.issuer.as_ref().ok_or(AuthError::Algorithm)?;
                let (generation, verifier) = issuer.jwks.verifier(header.kid.as_deref(), header.alg).await?;
                (Some(generation), verifier.verify(token)?, issuer.any_organization)
            }
        };
        let caller = self.0.names.caller(&claims, any_organization)?;
        if let Some(generation) = generation {
            self.verified().put(print, caller.clone(), self.until(&claims), generation, now());
        }
        Ok(caller)
    }

    fn signed_by_secret(&self, token: &str, algorithm: Algorithm) -> Result<Claims, AuthError> {
        let secret = self.0.secret.as_ref().filter(|_| algorithm == Algorithm::HS256);
        secret.ok_or(AuthError::Algorithm)?.verifier.verify(token)
    }

    /// Of the keys that judge now; the secret is of all generations. Nothing is remembered while the issuer's keys are
    /// not known.
    fn generation(&self) -> Option<u64> {
        match &self.0.issuer {
            None => Some(0),
            Some(issuer) => issuer.jwks.current().map(|keys| keys.generation),
        }
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.0.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Last second at which a token is good. A time with a fraction is rounded down.
    fn until(&self, claims: &Claims) -> u64 {
        let exp = claims.get("exp");
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast of floats saturates"
        )]
        let exp = exp.and_then(|exp| exp.as_u64().or_else(|| exp.as_f64().map(|exp| exp as u64)));
        exp.unwrap_or(0).saturating_add(self.0.rules.leeway.as_secs())
    }
}

fn rules(config: &Config) -> Rules {
    Rules { issuer: config.issuer.clone(), audience: config.audience.clone(), leeway: config.leeway }
}

/// Seconds since the Unix epoch.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_nanos() / 1_000_000_000).unwrap_or(0)
}

/// The header of a token, when all it asks for is understood (RFC 7515, section 4.1.11).
fn understood(token: &str) -> Result<Header, AuthError> {
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| AuthError::Malformed("its header is no JSON, or its algorithm is not known"))?;
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(AuthError::Malformed("its header asks for what is not understood here"));
    }
    Ok(header)
}
