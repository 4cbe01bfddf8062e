//! The permissions an embedder's program knows, each with what kind of access it is.
//!
//! [`permissions!`](crate::permissions) makes a function for each, so that a misspelt permission does not
//! compile, and one [`Registry`] of all, from which «read only» follows and by which
//! [`lint`](crate::Directory::lint) finds patterns that match nothing.

use std::borrow::Cow;

use core_types::{Permission, PermissionPattern};
use serde::{Deserialize, Serialize};

use crate::error::PatternSetError;
use crate::pattern_set::PatternSet;

/// What kind of access a permission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// To see what is in a thing.
    Read,
    /// To see that there is a thing.
    List,
    /// To make, change or end a thing.
    Write,
    /// To change what a thing is marked with.
    Tag,
    /// To change who may do what.
    Permissions,
}

/// One permission of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// What is acted on.
    pub service: Cow<'static, str>,
    /// What is done.
    pub verb: Cow<'static, str>,
    /// What kind of access that is.
    pub access: Access,
}

/// All the permissions a program knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Registry {
    known: Cow<'static, [Known]>,
}

impl Registry {
    /// Everything in it, in the order it was written.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }

    /// The registry of these permissions, for a program that learns them when it runs; of one that is there twice,
    /// the first counts.
    pub fn from_permissions(permissions: impl IntoIterator<Item = (Permission, Access)>) -> Self {
        let known = permissions.into_iter().map(|(permission, access)| {
            let side = |name: &str| Cow::Owned(name.to_owned());
            Known { service: side(permission.service()), verb: side(permission.verb()), access }
        });
        Self { known: known.collect() }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.clone().into()
    }

    /// What kind of access the permission is; `None` when the program does not know it.
    #[must_use]
    pub fn access(&self, permission: &Permission) -> Option<Access> {
        let names = (permission.service(), permission.verb());
        self.known
            .iter()
            .find(|known| (known.service.as_ref(), known.verb.as_ref()) == names)
            .map(|known| known.access)
    }

    /// Whether the pattern matches anything the program knows.
    #[must_use]
    pub fn is_known(&self, pattern: &PermissionPattern) -> bool {
        let side = |pattern: Option<&str>, name| pattern.is_none_or(|pattern| pattern == name);
        self.known
            .iter()
            .any(|known| side(pattern.service(), &known.service) && side(pattern.verb(), &known.verb))
    }

    /// Every permission of these kinds, one by one: a set that does not grow by itself.
    ///
    /// # Errors
    /// [`PatternSetError`] when there are more than a set may list.
    pub fn of_access(&self, kinds: &[Access]) -> Result<PatternSet, PatternSetError> {
        let wanted = self.known.iter().filter(|known| kinds.contains(&known.access));
        PatternSet::new(wanted.map(|known| known.permission().into()))
    }

    /// Every permission to read or list, one by one.
    ///
    /// # Errors
    /// [`PatternSetError`] when there are more than a set may list.
    pub fn read_only(&self) -> Result<PatternSet, PatternSetError> {
        self.of_access(&[Access::Read, Access::List])
    }

    /// For [`permissions!`](crate::permissions).
    #[doc(hidden)]
    #[must_use]
    pub const fn of(known: &'static [Known]) -> Self {
        Self { known: Cow::Borrowed(known) }
    }
}

impl Known {
    /// For [`permissions!`](crate::permissions).
    #[doc(hidden)]
    #[must_use]
    pub const fn new(service: &'static str, verb: &'static str, access: Access) -> Self {
        assert!(is_name(service), "a service is [a-z0-9-]{{1,63}} without `-` at either end");
        assert!(is_name(verb), "a verb is [a-z0-9-]{{1,63}} without `-` at either end");
        Self { service: Cow::Borrowed(service), verb: Cow::Borrowed(verb), access }
    }

    /// The permission itself.
    ///
    /// # Panics
    /// Never: its names were accepted when it was made.
    #[must_use]
    pub fn permission(&self) -> Permission {
        permission(&self.service, &self.verb)
    }
}

/// One permission in a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    permission: Permission,
    access: Access,
}

impl TryFrom<Vec<Entry>> for Registry {
    type Error = &'static str;

    fn try_from(mut entries: Vec<Entry>) -> Result<Self, &'static str> {
        entries.sort_by(|a, b| a.permission.cmp(&b.permission));
        if entries.windows(2).any(|pair| matches!(pair, [a, b] if a.permission == b.permission)) {
            return Err("a permission is in the registry twice");
        }
        Ok(Self::from_permissions(entries.into_iter().map(|entry| (entry.permission, entry.access))))
    }
}

impl From<Registry> for Vec<Entry> {
    fn from(registry: Registry) -> Self {
        let entry = |known: &Known| Entry { permission: known.permission(), access: known.access };
        registry.iter().map(entry).collect()
    }
}

/// The permission of two names that [`Known::new`] has accepted when the program was compiled.
#[doc(hidden)]
#[must_use]
pub fn permission(service: &str, verb: &str) -> Permission {
    match Permission::new(service, verb) {
        Ok(permission) => permission,
        Err(error) => unreachable!("`Known::new` accepts what `Permission::new` does: {error}"),
    }
}

/// What [`Permission::new`] accepts on either side, decidable when a program is compiled.
const fn is_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.is_empty() || rest.len() > core_types::scope::MAX_SEGMENT_BYTES {
        return false;
    }
    let mut is_border = true;
    while let [byte, others @ ..] = rest {
        is_border = is_border || others.is_empty();
        let is_alphanumeric = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !is_alphanumeric && (*byte != b'-' || is_border) {
            return false;
        }
        is_border = false;
        rest = others;
    }
    true
}

/// Declares the permissions of a program: a module with a function for each, and the registry of all.
///
/// ```
/// iam_policy::permissions! {
///     /// What the shop knows.
///     pub mod may {
///         "apps" as apps { "read" as read: Read, "restart" as restart: Write }
///         "ssh-keys" as ssh_keys { "list" as list: List, "write" as write: Permissions }
///     }
/// }
/// assert_eq!(may::ssh_keys::list().to_string(), "ssh-keys:list");
/// assert!(may::REGISTRY.read_only()?.matches(may::apps::read()));
/// assert!(!may::REGISTRY.read_only()?.matches(may::apps::restart()));
/// # Ok::<(), iam_policy::PatternSetError>(())
/// ```
///
/// A permission that is not declared does not compile, and neither does a name that is none:
///
/// ```compile_fail
/// iam_policy::permissions! {
///     /// What the shop knows.
///     pub mod may { "Apps" as apps { "read" as read: Read } }
/// }
/// ```
#[macro_export]
macro_rules! permissions {
    (
        $(#[$doc:meta])* $vis:vis mod $module:ident {
            $($service:literal as $service_name:ident {
                $($verb:literal as $verb_name:ident: $access:ident),+ $(,)?
            })+
        }
    ) => {
        $(#[$doc])*
        $vis mod $module {
            /// All of them.
            pub static REGISTRY: $crate::registry::Registry = $crate::registry::Registry::of(const { &[
                $($($crate::registry::Known::new($service, $verb, $crate::registry::Access::$access),)+)+
            ] });
            $(
                #[doc = concat!("The permissions of `", $service, "`.")]
                pub mod $service_name {
                    $(
                        #[doc = concat!("`", $service, ":", $verb, "`.")]
                        #[must_use]
                        pub fn $verb_name() -> &'static $crate::registry::_Permission {
                            static PERMISSION: ::std::sync::LazyLock<$crate::registry::_Permission> =
                                ::std::sync::LazyLock::new(|| $crate::registry::permission($service, $verb));
                            &PERMISSION
                        }
                    )+
                }
            )+
        }
    };
}

#[doc(hidden)]
pub use core_types::Permission as _Permission;

#[cfg(test)]
mod tests {
    use core_types::testing::arb_segment;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_accepted_at_compile_time_as_at_run_time(any in "[a-cA-Z0-9_.-]{0,4}", good in arb_segment()) {
            for name in [any, good, "x".repeat(63), "x".repeat(64)] {
                let accepted = Permission::new(&name, "read").is_ok();
                prop_assert_eq!(is_name(&name), accepted, "{}", name);
                prop_assert_eq!(Permission::new("apps", &name).is_ok(), accepted);
            }
        }
    }
}
