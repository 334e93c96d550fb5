//! Who sent a request, and whose logs that lets them touch.

use super::{PIPELINE, READ, WRITE, error::AuthError, token};
use crate::Gateway;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request},
};
use process::problem::Problem;
use record::{OrganizationError, OrganizationId};

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

/// Who sent a request: what is left of a token that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) organizations: Organizations,
    pub(super) reads: bool,
    pub(super) writes: bool,
    /// Whether the figures of all organisations together are for it.
    pub(crate) sees_all: bool,
}

impl Caller {
    async fn of(parts: &request::Parts, gateway: &Gateway) -> Result<Caller, AuthError> {
        let keys = gateway.keys();
        let judged = match token::bearer(parts) {
            Ok(token) => keys.check(token).await,
            Err(error) => Err(error),
        };
        judged.inspect_err(|error| keys.refused(error))
    }

    fn with(self, gateway: &Gateway, held: bool, scope: &'static str) -> Result<Caller, Problem> {
        if held {
            return Ok(self);
        }
        let error = AuthError::Scope { scope };
        gateway.keys().refused(&error);
        Err(error.into())
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
        let caller = Caller::of(parts, gateway).await?;
        let held = caller.reads;
        caller.with(gateway, held, READ).map(MayRead)
    }
}

/// A caller that may see the figures of all organisations together, whether it reads logs or not.
pub(crate) struct MaySeeAll(pub(crate) Caller);

impl FromRequestParts<Gateway> for MaySeeAll {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let caller = Caller::of(parts, gateway).await?;
        let held = caller.sees_all;
        caller.with(gateway, held, PIPELINE).map(MaySeeAll)
    }
}

/// A caller that may see the state of the pipeline: whoever may read anything.
pub(crate) struct MayLook(pub(crate) Caller);

impl FromRequestParts<Gateway> for MayLook {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let caller = Caller::of(parts, gateway).await?;
        let held = caller.reads || caller.sees_all;
        caller.with(gateway, held, READ).map(MayLook)
    }
}

/// A caller that may write.
pub(crate) struct MayWrite(pub(crate) Caller);

impl FromRequestParts<Gateway> for MayWrite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let caller = Caller::of(parts, gateway).await?;
        let held = caller.writes;
        caller.with(gateway, held, WRITE).map(MayWrite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_reads_its_own_organisation_only() {
        let organizations = "acme".parse().unwrap();
        let own = Caller { organizations, reads: true, writes: false, sees_all: false };
        assert_eq!(own.reads(None).unwrap().as_str(), "acme");
        assert_eq!(own.reads(Some("acme")).unwrap().as_str(), "acme");
        assert_eq!(own.reads(Some("other")).unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(own.reads(Some("*")).unwrap_err().status(), StatusCode::BAD_REQUEST);
        let any = Caller { organizations: Organizations::Any, ..own };
        assert_eq!(any.reads(Some("other")).unwrap().as_str(), "other");
        assert_eq!(any.reads(None).unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
