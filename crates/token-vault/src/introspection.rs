use core_types::{Grant, Limit, Subject};
use serde::Serialize;

use crate::error::Refusal;
use crate::format::Prefix;
use crate::verified::VerifiedToken;

/// The answer to «is this token good» in the shape of RFC 7662, section 2.2.
///
/// For a token that is not good it says that and nothing else, whatever the reason.
///
/// `scope` lists `permissions@scope` pairs: they are never taken apart. A token without a limit of its own has
/// no `scope` member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Introspection {
    /// Whether it is good.
    pub active: bool,
    /// The pairs it is limited to, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<Prefix>,
    /// The first second at which it is no longer good: rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// The second in which it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Whose rights it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<Subject>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<core_types::TokenId>,
}

impl Introspection {
    /// The answer for an outcome of verify.
    #[must_use]
    pub fn of(outcome: Result<&VerifiedToken, &Refusal>) -> Self {
        let Ok(token) = outcome else { return Self::inactive() };
        let scope = match token.restriction().grants() {
            Limit::Unlimited => None,
            Limit::Only(grants) => Some(grants.iter().map(pair).collect::<Vec<_>>().join(" ")),
        };
        let exp = match token.restriction().expires_at() {
            Limit::Unlimited => None,
            Limit::Only(at) => Some(at.as_secs()),
        };
        Self {
            active: true,
            scope,
            token_type: Some(token.kind().clone()),
            exp,
            iat: Some(token.entry().created_at().as_secs()),
            sub: Some(token.owner()),
            jti: Some(token.id()),
        }
    }

    /// The answer for a token that is not good.
    #[must_use]
    pub const fn inactive() -> Self {
        Self { active: false, scope: None, token_type: None, exp: None, iat: None, sub: None, jti: None }
    }
}

fn pair(grant: &Grant) -> String {
    format!("{}@{}", grant.permissions, grant.scope)
}
