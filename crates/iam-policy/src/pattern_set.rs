use core::fmt;

use core_types::{Permission, PermissionPattern};

use crate::error::PatternSetError;

/// The most patterns a role may list.
pub const MAX_PATTERNS: usize = 128;

/// A set of permission patterns, none of which contains another; the empty set matches nothing.
///
/// Two sets that match the same permissions, of services and verbs to come too, are equal.
#[derive(Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<PermissionPattern>", into = "Vec<PermissionPattern>")]
pub struct PatternSet {
    // INVARIANT: sorted, no pattern contains another, at most MAX_PATTERNS.
    patterns: Vec<PermissionPattern>,
}

impl PatternSet {
    /// The set of these patterns.
    ///
    /// # Errors
    /// [`PatternSetError`] past [`MAX_PATTERNS`], those that lie in another counted too.
    pub fn new(patterns: impl IntoIterator<Item = PermissionPattern>) -> Result<Self, PatternSetError> {
        let mut all: Vec<PermissionPattern> = Vec::new();
        for pattern in patterns {
            if all.len() >= MAX_PATTERNS {
                return Err(PatternSetError { limit: MAX_PATTERNS });
            }
            all.push(pattern);
        }
        all.sort_unstable();
        all.dedup();
        let maximal = |pattern: &PermissionPattern| {
            !all.iter().any(|other| other != pattern && other.contains(pattern))
        };
        let patterns = all.iter().filter(|pattern| maximal(pattern)).cloned().collect();
        Ok(Self { patterns })
    }

    /// Whether `permission` is in one of the patterns.
    #[must_use]
    pub fn matches(&self, permission: &Permission) -> bool {
        if self.patterns.len() <= SCAN_UP_TO {
            return self.patterns.iter().any(|pattern| pattern.matches(permission));
        }
        let (service, verb) = (Some(permission.service()), Some(permission.verb()));
        [(None, None), (None, verb), (service, None), (service, verb)].iter().any(|sides| {
            self.patterns.binary_search_by(|pattern| (pattern.service(), pattern.verb()).cmp(sides)).is_ok()
        })
    }

    /// Whether every permission in `pattern` is in this set. The names are open, so a pattern lies in the set
    /// exactly when it lies in one member.
    #[must_use]
    pub fn contains(&self, pattern: &PermissionPattern) -> bool {
        self.patterns.iter().any(|own| own.contains(pattern))
    }

    /// The patterns, in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &PermissionPattern> {
        self.patterns.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there are none, so that nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl fmt::Debug for PatternSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.patterns).finish()
    }
}

impl TryFrom<Vec<PermissionPattern>> for PatternSet {
    type Error = PatternSetError;

    fn try_from(patterns: Vec<PermissionPattern>) -> Result<Self, PatternSetError> {
        Self::new(patterns)
    }
}

impl From<PatternSet> for Vec<PermissionPattern> {
    fn from(set: PatternSet) -> Self {
        set.patterns
    }
}

/// Up to here looking at each pattern is quicker than four searches.
const SCAN_UP_TO: usize = 8;
