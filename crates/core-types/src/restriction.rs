//! What a credential may use of its owner's rights.
//!
//! A restriction is an upper bound, never a right: what may be done is the owner's rights *and* what the
//! restriction allows. Restrictions only ever intersect. *No limit* and *a limit that allows nothing* are
//! different values ([`Limit`]), and the latter is the default.

use core::fmt;

use crate::error::RestrictionError;
use crate::permission::{Permission, PermissionPattern};
use crate::scope::Scope;
use crate::time::UnixTime;

/// The most grants a restriction may list.
pub const MAX_GRANTS: usize = 256;

/// A pair: these permissions, at this scope and below.
///
/// Pairs are kept as pairs: `apps:read` in one project and `apps:write` in another never become both in both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[expect(
    clippy::exhaustive_structs,
    reason = "a grant is exactly this pair; a third part would be another type"
)]
pub struct Grant {
    /// What may be done.
    pub permissions: PermissionPattern,
    /// Where: here and below.
    pub scope: Scope,
}

impl Grant {
    /// These permissions, at this scope and below.
    #[must_use]
    pub const fn new(permissions: PermissionPattern, scope: Scope) -> Self {
        Self { permissions, scope }
    }

    /// Whether `permission` may be used at `scope`.
    #[must_use]
    pub fn allows(&self, permission: &Permission, scope: &Scope) -> bool {
        self.permissions.matches(permission) && self.scope.contains(scope)
    }

    /// Whether everything `other` allows is allowed here.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.permissions.contains(&other.permissions) && self.scope.contains(&other.scope)
    }

    /// What both allow.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Some(Self {
            permissions: self.permissions.intersect(&other.permissions)?,
            scope: self.scope.intersect(&other.scope)?.clone(),
        })
    }

    /// A number that grows with every step down: a grant that contains another one has a smaller one.
    fn narrowness(&self) -> usize {
        let named = [self.permissions.service(), self.permissions.verb()].iter().flatten().count();
        named.saturating_add(self.scope.depth())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.permissions, self.scope)
    }
}

/// A limit, or its absence: said, never guessed from something missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is a limit or there is none; a third answer must break the caller"
)]
pub enum Limit<T> {
    /// Nothing is cut off here.
    Unlimited,
    /// Only this much.
    Only(T),
}

impl<T> Limit<T> {
    /// The limit, where there is one.
    #[must_use]
    pub const fn as_ref(&self) -> Limit<&T> {
        match self {
            Self::Unlimited => Limit::Unlimited,
            Self::Only(limit) => Limit::Only(limit),
        }
    }
}

/// An upper bound on what a credential may use: which permissions where, and until when.
///
/// ```
/// use core_types::{Grant, Restriction, UnixTime};
/// let web = Grant::new("apps:*".parse()?, "project/web".parse()?);
/// let token = Restriction::only([web])?.expiring(UnixTime::from_secs(2_000));
/// let now = UnixTime::from_secs(1_000);
/// assert!(token.allows(&"apps:read".parse()?, &"project/web".parse()?, now));
/// assert!(!token.allows(&"apps:read".parse()?, &"project/shop".parse()?, now));
/// assert!(!token.allows(&"apps:read".parse()?, &"project/web".parse()?, UnixTime::from_secs(2_000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Equal restrictions allow the same, and those that allow the same are equal, but for two corners: *no limit*
/// and *`*:*` at the root* are two values, as are the restrictions that never allow anything (without grants,
/// or ending at the epoch).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, try_from = "Document")
)]
pub struct Restriction {
    // INVARIANT: sorted, no grant contains another, at most MAX_GRANTS.
    grants: Limit<Vec<Grant>>,
    expires_at: Limit<UnixTime>,
}

impl Restriction {
    /// Allows nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { grants: Limit::Only(Vec::new()), expires_at: Limit::Unlimited }
    }

    /// Cuts nothing off: the credential may use all its owner may, for ever.
    #[must_use]
    pub const fn unrestricted() -> Self {
        Self { grants: Limit::Unlimited, expires_at: Limit::Unlimited }
    }

    /// Only these; none of them means nothing at all.
    ///
    /// # Errors
    /// [`RestrictionError::TooManyGrants`] past [`MAX_GRANTS`], those that lie in another not counted.
    pub fn only(grants: impl IntoIterator<Item = Grant>) -> Result<Self, RestrictionError> {
        let grants = maximal(grants.into_iter().collect())?;
        Ok(Self { grants: Limit::Only(grants), expires_at: Limit::Unlimited })
    }

    /// The same, ending at `at` at the latest: the first instant at which it is no longer valid.
    #[must_use]
    pub fn expiring(mut self, at: UnixTime) -> Self {
        self.expires_at = earlier(self.expires_at, Limit::Only(at));
        self
    }

    /// Whether `permission` may be used at `scope` now, as far as this restriction goes.
    #[must_use]
    pub fn allows(&self, permission: &Permission, scope: &Scope, now: UnixTime) -> bool {
        !self.is_expired(now)
            && match &self.grants {
                Limit::Unlimited => true,
                Limit::Only(grants) => grants.iter().any(|grant| grant.allows(permission, scope)),
            }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        matches!(self.expires_at, Limit::Only(at) if now >= at)
    }

    /// What both allow.
    ///
    /// # Errors
    /// [`RestrictionError::TooManyGrants`] when the answer has more than [`MAX_GRANTS`] grants: refuse then.
    pub fn intersect(&self, other: &Self) -> Result<Self, RestrictionError> {
        let grants = match (&self.grants, &other.grants) {
            (Limit::Unlimited, grants) | (grants, Limit::Unlimited) => grants.clone(),
            (Limit::Only(a), Limit::Only(b)) => Limit::Only(meet(a, b)?),
        };
        Ok(Self { grants, expires_at: earlier(self.expires_at, other.expires_at) })
    }

    /// Whether everything `other` allows, and for as long, is allowed here.
    ///
    /// Grants and end are compared each by itself, as values: in the corners that [`Restriction`] names, where
    /// different values allow the same, the answer is no.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let grants = match (&self.grants, &other.grants) {
            (Limit::Unlimited, _) => true,
            (Limit::Only(_), Limit::Unlimited) => false,
            // The sets of names are open, so a grant lies in a union only where it lies in one member.
            (Limit::Only(outer), Limit::Only(inner)) => {
                inner.iter().all(|grant| outer.iter().any(|other| other.contains(grant)))
            }
        };
        grants && earlier(self.expires_at, other.expires_at) == other.expires_at
    }

    /// The grants, sorted, none containing another.
    #[must_use]
    pub fn grants(&self) -> Limit<&[Grant]> {
        match &self.grants {
            Limit::Unlimited => Limit::Unlimited,
            Limit::Only(grants) => Limit::Only(grants),
        }
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub const fn expires_at(&self) -> Limit<UnixTime> {
        self.expires_at
    }
}

/// Nothing.
impl Default for Restriction {
    fn default() -> Self {
        Self::nothing()
    }
}

/// The document form; its grants are brought into the one order on the way in.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    grants: Limit<Vec<Grant>>,
    expires_at: Limit<UnixTime>,
}

#[cfg(feature = "serde")]
impl TryFrom<Document> for Restriction {
    type Error = RestrictionError;

    fn try_from(document: Document) -> Result<Self, RestrictionError> {
        let grants = match document.grants {
            Limit::Unlimited => Limit::Unlimited,
            Limit::Only(grants) => Limit::Only(maximal(grants)?),
        };
        Ok(Self { grants, expires_at: document.expires_at })
    }
}

/// What both lists allow.
fn meet(a: &[Grant], b: &[Grant]) -> Result<Vec<Grant>, RestrictionError> {
    // Pairs of references: the meets themselves may be 65,536 and long, and most lie in another.
    let mut pairs: Vec<(usize, &Grant, &Grant)> = a
        .iter()
        .flat_map(|grant| b.iter().map(move |other| (grant, other)))
        .filter_map(|(grant, other)| Some((grant.intersect(other)?.narrowness(), grant, other)))
        .collect();
    pairs.sort_unstable_by_key(|(narrowness, ..)| *narrowness);
    keep_maximal(pairs.into_iter().filter_map(|(_, grant, other)| grant.intersect(other)))
}

/// Sorts, and keeps only grants that no other contains.
fn maximal(mut grants: Vec<Grant>) -> Result<Vec<Grant>, RestrictionError> {
    grants.sort_unstable_by_key(Grant::narrowness);
    keep_maximal(grants)
}

/// As [`maximal`], of grants that come in order of narrowness: what is kept stays, so the bound is met
/// exactly when the answer is too long, whatever the order was before.
fn keep_maximal(grants: impl IntoIterator<Item = Grant>) -> Result<Vec<Grant>, RestrictionError> {
    let mut kept: Vec<Grant> = Vec::new();
    for grant in grants {
        if kept.iter().any(|other| other.contains(&grant)) {
            continue;
        }
        if kept.len() >= MAX_GRANTS {
            return Err(RestrictionError::TooManyGrants { limit: MAX_GRANTS });
        }
        kept.push(grant);
    }
    kept.sort_unstable();
    Ok(kept)
}

fn earlier(a: Limit<UnixTime>, b: Limit<UnixTime>) -> Limit<UnixTime> {
    match (a, b) {
        (Limit::Unlimited, other) | (other, Limit::Unlimited) => other,
        (Limit::Only(a), Limit::Only(b)) => Limit::Only(a.min(b)),
    }
}
