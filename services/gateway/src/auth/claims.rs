//! Which claims say whose a token is and what it may.

use super::{
    PIPELINE, READ, WRITE,
    caller::{Caller, Organizations},
    error::AuthError,
};
use serde_json::{Map, Value};

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// Names of the claims that are read. A name with dots is a claim of that name, or a path into nested ones, such as
/// `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Claim with the organisation: a string.
    pub organization: String,
    /// Claim with the scopes: a string, separated by spaces (RFC 8693, section 4.2), or an array of strings.
    pub scope: String,
}

impl Default for Names {
    fn default() -> Names {
        Names { organization: "organization".into(), scope: "scope".into() }
    }
}

impl Names {
    /// Who the claims speak of; `any` says whether they may be of any organisation.
    pub(super) fn caller(&self, claims: &Claims, any: bool) -> Result<Caller, AuthError> {
        let missing = |name: &str| AuthError::Claim(name.to_owned());
        let organization = find(claims, &self.organization).and_then(Value::as_str);
        let organization = organization.ok_or_else(|| missing(&self.organization))?;
        let organizations: Organizations = organization.parse().map_err(AuthError::Organization)?;
        if organizations == Organizations::Any && !any {
            return Err(AuthError::AnyOrganization);
        }
        let scopes = find(claims, &self.scope).and_then(scopes).ok_or_else(|| missing(&self.scope))?;
        let holds = |scope| scopes.contains(&scope);
        let (reads, writes) = (holds(READ), holds(WRITE));
        let sees_all = holds(PIPELINE) || (reads && organizations == Organizations::Any);
        Ok(Caller { organizations, reads, writes, sees_all })
    }
}

fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    // A name as a whole comes first: claims of common issuers are addresses, which have dots.
    claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    })
}

fn scopes(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(text.split([' ', ',']).collect()),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn caller(names: (&str, &str), claims: Value) -> Result<Caller, AuthError> {
        let names = Names { organization: names.0.into(), scope: names.1.into() };
        let Value::Object(claims) = claims else { unreachable!("the tests write objects") };
        names.caller(&claims, false)
    }

    #[test]
    fn who_sees_all() {
        let table = [
            ("acme", "logs:read logs:write", false),
            ("acme", "pipeline:read", true),
            ("acme", "logs:read pipeline:read", true),
            ("acme", "logs:read pipeline:reads", false),
            ("acme", "logs:read PIPELINE:READ pipeline pipeline:* *", false),
            ("*", "logs:read", true),
            // Who only writes adds up nothing.
            ("*", "logs:write", false),
        ];
        for (organization, scope, sees_all) in table {
            let Value::Object(claims) = json!({"organization": organization, "scope": scope}) else {
                unreachable!()
            };
            let caller = Names::default().caller(&claims, true).unwrap();
            assert_eq!(caller.sees_all, sees_all, "{organization}: {scope}");
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let nested = ("org.name", "realm_access.roles");
        let address = ("https://example.com/org", "scp");
        let table = [
            (("organization", "scope"), json!({"organization": "acme", "scope": "openid logs:read"})),
            (nested, json!({"org": {"name": "acme"}, "realm_access": {"roles": ["x", "logs:read"]}})),
            (address, json!({"https://example.com/org": "acme", "scp": ["logs:read"]})),
        ];
        for (names, claims) in table {
            let caller = caller(names, claims).unwrap();
            assert_eq!((caller.organizations.as_str(), caller.reads, caller.writes), ("acme", true, false));
        }
    }

    #[test]
    fn claims_of_another_kind_are_refused() {
        let table = [
            (json!({"scope": "logs:read"}), "claim"),
            (json!({"organization": ["acme"], "scope": "logs:read"}), "claim"),
            (json!({"organization": {"acme": {}}, "scope": "logs:read"}), "claim"),
            (json!({"organization": 7, "scope": "logs:read"}), "claim"),
            (json!({"organization": null, "scope": "logs:read"}), "claim"),
            (json!({"organization": "", "scope": "logs:read"}), "organization"),
            (json!({"organization": "acme\n", "scope": "logs:read"}), "organization"),
            (json!({"organization": "acme,other", "scope": "logs:read"}), "organization"),
            (json!({"organization": "аcme", "scope": "logs:read"}), "organization"),
            (json!({"organization": "*", "scope": "logs:read"}), "any_organization"),
            (json!({"organization": "acme"}), "claim"),
            (json!({"organization": "acme", "scope": 7}), "claim"),
            (json!({"organization": "acme", "scope": ["logs:read", 7]}), "claim"),
            (json!({"organization": "acme", "scope": {"logs:read": true}}), "claim"),
        ];
        for (claims, reason) in table {
            let refused = caller(("organization", "scope"), claims.clone()).unwrap_err();
            assert_eq!(refused.reason(), reason, "{claims}");
        }
    }

    #[test]
    fn a_scope_is_a_whole_word() {
        for scope in ["logs:readers", "xlogs:read", "LOGS:READ", "logs:rea", ""] {
            let claims = json!({"organization": "acme", "scope": scope});
            assert!(!caller(("organization", "scope"), claims).unwrap().reads, "{scope}");
        }
    }
}
