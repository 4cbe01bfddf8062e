//! What may be done: `service:verb`, and patterns over it.
//!
//! Services and verbs are 1 to 63 characters of `[a-z0-9-]` that neither begin nor end with `-`. A pattern
//! has `*` for a whole side: `compute:*`, `*:read`, `*:*`. There is one alias: `admin:*` means everything
//! and parses to `*:*` («Full admin access»). Matching is by whole sides only, so it takes time linear in
//! the text.
//!
//! The set of services and verbs is open: a pattern is contained in another when that holds for every
//! service and verb there could be, not only for those in use.

use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;
use crate::scope::{count_separators, validate_segment};

/// One thing that may be done, `service:verb`.
///
/// ```
/// let permission: core_types::Permission = "apps:read".parse()?;
/// assert_eq!((permission.service(), permission.verb()), ("apps", "read"));
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    service: Box<str>,
    verb: Box<str>,
}

impl Permission {
    /// The permission of this service and verb.
    ///
    /// # Errors
    /// [`ParseError`] when either is not a valid name.
    pub fn new(service: &str, verb: &str) -> Result<Self, ParseError> {
        validate_segment(service, 0)?;
        validate_segment(verb, service.len().saturating_add(1))?;
        Ok(Self { service: service.into(), verb: verb.into() })
    }

    /// What is acted on: `apps`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What is done: `read`.
    #[must_use]
    pub fn verb(&self) -> &str {
        &self.verb
    }
}

impl FromStr for Permission {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        PermissionRef::parse(text).map(|permission| permission.to_permission())
    }
}

/// The text of a permission, checked and borrowed: for questions that need no permission of their own.
///
/// ```
/// use core_types::PermissionRef;
/// let permission = PermissionRef::parse("apps:read")?;
/// assert_eq!((permission.service(), permission.verb()), ("apps", "read"));
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PermissionRef<'a> {
    // INVARIANT: both are valid names.
    service: &'a str,
    verb: &'a str,
}

impl<'a> PermissionRef<'a> {
    /// Reads the text of a permission, as [`Permission`]'s `FromStr` does.
    ///
    /// # Errors
    /// [`ParseError`] when it is none.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let (service, verb) = split(text)?;
        if count_separators(text, b':') != Some(1) {
            // Not short and well-formed: what it is, is found out slowly.
            validate_segment(service, 0)?;
            validate_segment(verb, service.len().saturating_add(1))?;
        }
        Ok(Self { service, verb })
    }

    /// What is acted on.
    #[must_use]
    pub const fn service(&self) -> &'a str {
        self.service
    }

    /// What is done.
    #[must_use]
    pub const fn verb(&self) -> &'a str {
        self.verb
    }

    /// The permission.
    #[must_use]
    pub fn to_permission(&self) -> Permission {
        Permission { service: self.service.into(), verb: self.verb.into() }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.verb)
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of permissions: one, all of a service, one verb everywhere, or all.
///
/// ```
/// use core_types::PermissionPattern;
/// let compute: PermissionPattern = "compute:*".parse()?;
/// assert!(compute.matches(&"compute:start".parse()?));
/// assert_eq!("admin:*".parse::<PermissionPattern>()?, PermissionPattern::all());
/// assert_eq!(compute.intersect(&"*:read".parse()?), Some("compute:read".parse()?));
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionPattern {
    // `None` is `*`.
    service: Option<Box<str>>,
    verb: Option<Box<str>>,
}

impl PermissionPattern {
    /// `*:*`.
    #[must_use]
    pub const fn all() -> Self {
        Self { service: None, verb: None }
    }

    /// The service, or `None` for `*`.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The verb, or `None` for `*`.
    #[must_use]
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// Whether `permission` is in the set.
    #[must_use]
    pub fn matches(&self, permission: &Permission) -> bool {
        side_covers(self.service(), Some(permission.service()))
            && side_covers(self.verb(), Some(permission.verb()))
    }

    /// Whether every permission in `other` is in this set.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        side_covers(self.service(), other.service()) && side_covers(self.verb(), other.verb())
    }

    /// The permissions in both sets; `None` when there are none.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Some(Self {
            service: side_intersect(self.service(), other.service())?.map(Into::into),
            verb: side_intersect(self.verb(), other.verb())?.map(Into::into),
        })
    }
}

impl From<Permission> for PermissionPattern {
    fn from(permission: Permission) -> Self {
        Self { service: Some(permission.service), verb: Some(permission.verb) }
    }
}

impl FromStr for PermissionPattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (service, verb) = split(text)?;
        if service == ADMIN && verb == ANY {
            return Ok(Self::all());
        }
        if service != ANY {
            validate_segment(service, 0)?;
        }
        if verb != ANY {
            validate_segment(verb, service.len().saturating_add(1))?;
        }
        let side = |text: &str| (text != ANY).then(|| text.into());
        Ok(Self { service: side(service), verb: side(verb) })
    }
}

impl fmt::Display for PermissionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service().unwrap_or(ANY), self.verb().unwrap_or(ANY))
    }
}

impl fmt::Debug for PermissionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] Permission);
#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] PermissionPattern);

#[inline]
fn split(text: &str) -> Result<(&str, &str), ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    text.split_once(':').ok_or(ParseError::Form { form: "service:verb" })
}

fn side_covers(outer: Option<&str>, inner: Option<&str>) -> bool {
    outer.is_none() || outer == inner
}

/// The outer `Option` says whether the sides meet at all, the inner one is `None` for `*`.
#[expect(clippy::option_option, reason = "a side is an Option already, and private")]
fn side_intersect<'a>(a: Option<&'a str>, b: Option<&'a str>) -> Option<Option<&'a str>> {
    match (a, b) {
        (None, other) | (other, None) => Some(other),
        (Some(a), Some(b)) => (a == b).then_some(Some(a)),
    }
}

const ANY: &str = "*";
const ADMIN: &str = "admin";
