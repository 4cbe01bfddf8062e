use core::fmt;
use core::str::FromStr;

use core_types::{ParseError, PermissionPattern};

use crate::pattern_set::PatternSet;

/// A role that this crate defines: it is never stored and cannot be changed or deleted.
///
/// Its text form is its name. A new variant is no breaking change; a changed meaning of an old one would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BuiltInRole {
    /// `compute-full`: `compute:*`, everything about machines.
    ComputeFull,
    /// `apps-read`: `apps:read`.
    AppsRead,
    /// `databases-write`: `databases:write`, to create and manage databases.
    DatabasesWrite,
    /// `storage-full`: `storage:*`, everything about volumes and buckets.
    StorageFull,
    /// `administrator`: `admin:*`, which is everything.
    Administrator,
    /// `CloudNxReadOnlyAccess`: `*:read` and `*:list`, those of services to come too.
    CloudNxReadOnlyAccess,
    /// `CloudNxStorageFullAccess`: `storage:*`.
    CloudNxStorageFullAccess,
}

impl BuiltInRole {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ComputeFull,
        Self::AppsRead,
        Self::DatabasesWrite,
        Self::StorageFull,
        Self::Administrator,
        Self::CloudNxReadOnlyAccess,
        Self::CloudNxStorageFullAccess,
    ];

    /// The name, by which the role is stored and asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ComputeFull => "compute-full",
            Self::AppsRead => "apps-read",
            Self::DatabasesWrite => "databases-write",
            Self::StorageFull => "storage-full",
            Self::Administrator => "administrator",
            Self::CloudNxReadOnlyAccess => "CloudNxReadOnlyAccess",
            Self::CloudNxStorageFullAccess => "CloudNxStorageFullAccess",
        }
    }

    /// What the role permits, as texts of patterns.
    #[must_use]
    pub const fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::ComputeFull => &["compute:*"],
            Self::AppsRead => &["apps:read"],
            Self::DatabasesWrite => &["databases:write"],
            Self::StorageFull | Self::CloudNxStorageFullAccess => &["storage:*"],
            Self::Administrator => &["admin:*"],
            Self::CloudNxReadOnlyAccess => &["*:read", "*:list"],
        }
    }

    /// The patterns, parsed. A text that were no pattern would permit nothing; a test sees that all are.
    pub(crate) fn patterns(self) -> PatternSet {
        let patterns = self.permissions().iter().filter_map(|text| text.parse::<PermissionPattern>().ok());
        PatternSet::new(patterns).unwrap_or_default()
    }
}

impl FromStr for BuiltInRole {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .iter()
            .copied()
            .find(|role| role.name() == text)
            .ok_or(ParseError::Form { form: "name of a built-in role" })
    }
}

impl fmt::Display for BuiltInRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_role_has_the_patterns_it_names() {
        for role in BuiltInRole::ALL {
            assert_eq!(role.patterns().len(), role.permissions().len(), "{role}");
            assert_eq!(role.name().parse(), Ok(*role));
        }
    }
}
