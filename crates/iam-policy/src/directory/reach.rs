//! Where a holder's bindings can count at all: within the tenant of its home.

use std::sync::Arc;

use core_types::Scope;
use rpds::HashTrieMapSync;

/// Within which scopes anything bound to somebody can count.
#[derive(Debug, Clone, Default)]
pub(crate) enum Reach {
    /// Nobody knows the home.
    #[default]
    Nowhere,
    /// The home is the root.
    Everywhere,
    /// The first level of the home: the tenant.
    Within(Arc<str>),
}

impl Reach {
    /// That of this home; with a text of its own.
    pub(super) fn of(home: &Scope) -> Self {
        if home.is_root() { Self::Everywhere } else { Self::Within(home.first_level().into()) }
    }

    #[inline]
    pub(crate) fn includes(&self, scope: &Scope) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Everywhere => true,
            Self::Within(tenant) => lies_within(scope, tenant),
        }
    }

    /// The tenant, where it is one.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Nowhere | Self::Everywhere => None,
            Self::Within(tenant) => Some(tenant),
        }
    }
}

/// Whether what has its home at `home` can hold anything at `scope`: the root's anywhere, others within the
/// first level (the tenant) of their home.
pub(crate) fn reaches(home: &Scope, scope: &Scope) -> bool {
    home.is_root() || lies_within(scope, home.first_level())
}

/// Whether two homes are of one tenant, or one of them is the root, which is no tenant's.
pub(crate) fn share_tenant(a: &Scope, b: &Scope) -> bool {
    a.is_root() || b.is_root() || reaches(a, b)
}

/// A tenant is a whole first level, so that a '/' after it is a level's border.
#[inline]
fn lies_within(scope: &Scope, tenant: &str) -> bool {
    let rest = scope.as_path().strip_prefix(tenant);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The tenants of all subjects, each text kept once: there are few, and decisions look at them often.
#[derive(Debug, Clone)]
pub(super) struct Tenants {
    // How many subjects are at home in each.
    counts: HashTrieMapSync<Arc<str>, usize>,
}

impl Tenants {
    pub(super) fn new() -> Self {
        Self { counts: HashTrieMapSync::new_sync() }
    }

    /// The reach of one more subject with this home.
    pub(super) fn enter(&mut self, home: &Scope) -> Reach {
        if home.is_root() {
            return Reach::Everywhere;
        }
        let known = self.counts.get_key_value(home.first_level());
        let (tenant, count) = match known {
            Some((tenant, count)) => (Arc::clone(tenant), *count),
            None => (Arc::from(home.first_level()), 0),
        };
        self.counts.insert_mut(Arc::clone(&tenant), count.saturating_add(1));
        Reach::Within(tenant)
    }

    /// One subject less.
    pub(super) fn leave(&mut self, reach: &Reach) {
        let Reach::Within(tenant) = reach else { return };
        match self.counts.get(&**tenant).and_then(|count| count.checked_sub(1)) {
            None | Some(0) => {
                self.counts.remove_mut(&**tenant);
            }
            Some(rest) => self.counts.insert_mut(Arc::clone(tenant), rest),
        }
    }
}
