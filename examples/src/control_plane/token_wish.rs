//! What somebody asks of a new token, and the restriction that comes of it.

use std::time::Duration;

use core_types::{Grant, PermissionPattern, Restriction, RestrictionError, Scope, Subject};
use serde::Deserialize;
use token_vault::{IssueRequest, Network, Prefix};

use super::api_error::ApiError;
use super::routes::{parse_field, parse_time};

/// A new token or access key. What it may be used for is said in exactly one of three ways: `scopes`, `grants`
/// or `inherit`; whatever is said, it never goes beyond its owner's live rights.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenWish {
    pub(crate) name: String,
    /// Permission patterns, all at `scope`. An empty list is refused: it would mean nothing at all.
    pub(crate) scopes: Option<Vec<String>>,
    /// Where `scopes` hold: a scope in the project; the project itself where nothing is said.
    pub(crate) scope: Option<String>,
    /// Pairs of a permission pattern and a scope in the project: several projects' parts in one key.
    pub(crate) grants: Option<Vec<GrantWish>>,
    /// Whatever its owner may do, and the token that asks.
    #[serde(default)]
    pub(crate) inherit: bool,
    /// Whose rights the token uses; the caller's where nothing is said.
    pub(crate) owner: Option<String>,
    pub(crate) expires_at: Option<String>,
    /// `10.0.0.0/8`, `2001:db8::/32`: where it may be used from; anywhere where nothing is said.
    pub(crate) networks: Option<Vec<String>>,
    /// How often it may be used.
    pub(crate) max_uses: Option<u64>,
    /// After how long without a use it ends.
    pub(crate) idle_seconds: Option<u64>,
    /// When its secret should be replaced: its owner is reminded.
    pub(crate) rotate_by: Option<String>,
}

/// One pair: taken apart, it would allow more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantWish {
    permission: String,
    scope: String,
}

impl TokenWish {
    /// The upper bound on what the token may be used for: within the project, and for one that inherits within
    /// `bound`.
    pub(crate) fn restriction(&self, project: &Scope, bound: &Restriction) -> Result<Restriction, ApiError> {
        let within = |text: &str| {
            let scope: Scope = parse_field("scope", text)?;
            let is_within = project.contains(&scope);
            is_within.then_some(scope).ok_or_else(|| {
                ApiError::invalid("invalid_field", "`scope`: not in the project of the request")
            })
        };
        let restriction = match (&self.scopes, &self.grants, self.inherit) {
            (Some(scopes), None, false) => {
                let scope = self.scope.as_deref().map_or_else(|| Ok(project.clone()), within)?;
                let grants = scopes.iter().map(|text| {
                    Ok(Grant::new(parse_field::<PermissionPattern>("scopes", text)?, scope.clone()))
                });
                only(grants.collect::<Result<_, ApiError>>()?)?
            }
            (None, Some(grants), false) if self.scope.is_none() => {
                let grants = grants.iter().map(|wish| {
                    let permission = parse_field::<PermissionPattern>("permission", &wish.permission)?;
                    Ok(Grant::new(permission, within(&wish.scope)?))
                });
                only(grants.collect::<Result<_, ApiError>>()?)?
            }
            (None, None, true) => match &self.scope {
                Some(scope) => only(vec![Grant::new(PermissionPattern::all(), within(scope)?)])?
                    .intersect(bound)
                    .map_err(invalid)?,
                None => bound.clone(),
            },
            _ => {
                let message = "say one of `scopes` (with `scope`), `grants`, `inherit` (with `scope`)";
                return Err(ApiError::invalid("invalid_field", message));
            }
        };
        Ok(match &self.expires_at {
            Some(text) => restriction.expiring(parse_time("expires_at", text)?),
            None => restriction,
        })
    }

    /// The request to the vault, for a token at home in `project`; who asks is still to be said.
    pub(crate) fn request<'a>(
        &self,
        kind: Prefix,
        owner: Subject,
        restriction: Restriction,
        project: Scope,
    ) -> Result<IssueRequest<'a>, ApiError> {
        let mut request = IssueRequest::new(self.name.as_str(), kind, owner, restriction).at_home_in(project);
        if let Some(networks) = &self.networks {
            let networks = networks.iter().map(|text| parse_field::<Network>("networks", text));
            request = request.from_networks(networks.collect::<Result<Vec<_>, _>>()?);
        }
        if let Some(uses) = self.max_uses {
            request = request.limited_to_uses(uses);
        }
        if let Some(seconds) = self.idle_seconds {
            request = request.ending_when_idle_for(Duration::from_secs(seconds));
        }
        if let Some(text) = &self.rotate_by {
            request = request.rotate_by(parse_time("rotate_by", text)?);
        }
        Ok(request)
    }
}

fn only(grants: Vec<Grant>) -> Result<Restriction, ApiError> {
    Restriction::only(grants).map_err(invalid)
}

fn invalid(error: RestrictionError) -> ApiError {
    ApiError::invalid("invalid_field", error.to_string())
}
