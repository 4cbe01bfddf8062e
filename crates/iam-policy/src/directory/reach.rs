//! Where a holder's bindings can count at all: within the tenant of its home.

use std::sync::Arc;

use core_types::Scope;
use rpds::HashTrieMapSync;

use super::numbers::{NONE, Places};

/// Within which scopes anything bound to somebody can count.
#[derive(Debug, Clone, Default)]
pub(crate) enum Reach {
    /// Nobody knows the home.
    #[default]
    Nowhere,
    /// The home is the root.
    Everywhere,
    /// The first level of the home.
    Within(Arc<Tenant>),
}

/// A first level, as text and as number. The text lies by itself: where references are counted, readers do not look.
#[derive(Debug)]
pub(crate) struct Tenant {
    text: Box<str>,
    number: u32,
}

impl Tenant {
    /// The number of its scope; that of nothing where nobody counts it.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }
}

impl Reach {
    /// That of this home; with a text of its own.
    pub(super) fn of(home: &Scope) -> Self {
        if home.is_root() { Self::Everywhere } else { Self::within(home.first_level()) }
    }

    /// That of this tenant; with a text of its own.
    pub(super) fn within(tenant: &str) -> Self {
        Self::Within(Arc::new(Tenant { text: tenant.into(), number: NONE }))
    }

    #[inline]
    pub(crate) fn includes(&self, scope: &Scope) -> bool {
        self.includes_path(scope.as_path())
    }

    /// The same, of the scope with this path.
    #[inline]
    pub(crate) fn includes_path(&self, scope: &str) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Everywhere => true,
            Self::Within(tenant) => lies_within(scope, &tenant.text),
        }
    }

    /// The tenant, where it is one.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Nowhere | Self::Everywhere => None,
            Self::Within(tenant) => Some(&tenant.text),
        }
    }
}

/// Whether what has its home at `home` can hold anything at `scope`: the root's anywhere, others within the
/// first level (the tenant) of their home.
pub(crate) fn reaches(home: &Scope, scope: &Scope) -> bool {
    home.is_root() || lies_within(scope.as_path(), home.first_level())
}

/// Whether two homes are of one tenant, or one of them is the root, which is no tenant's.
pub(crate) fn share_tenant(a: &Scope, b: &Scope) -> bool {
    a.is_root() || b.is_root() || reaches(a, b)
}

/// Whether the scope with the one path is that with the other one, which is not the root, or lies below it. Both are whole
/// levels, so that a '/' after one is a level's border.
#[inline]
pub(super) fn lies_within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The tenants of all subjects, each kept once: there are few, and decisions look at them often.
#[derive(Debug, Clone)]
pub(super) struct Tenants {
    // How many subjects are at home in each.
    counts: HashTrieMapSync<Box<str>, (Arc<Tenant>, usize)>,
}

impl Tenants {
    pub(super) fn new() -> Self {
        Self { counts: HashTrieMapSync::new_sync() }
    }

    /// The reach of one more subject with this home; its tenant has a number among `places` as long as it has subjects.
    pub(super) fn enter(&mut self, home: &Scope, places: &mut Places) -> Reach {
        if home.is_root() {
            return Reach::Everywhere;
        }
        let text = home.first_level();
        let (tenant, count) = match self.counts.get(text) {
            Some((tenant, count)) => (Arc::clone(tenant), *count),
            None => (Arc::new(Tenant { text: text.into(), number: places.enter(text) }), 0),
        };
        self.counts.insert_mut(text.into(), (Arc::clone(&tenant), count.saturating_add(1)));
        Reach::Within(tenant)
    }

    /// One subject less.
    pub(super) fn leave(&mut self, reach: &Reach, places: &mut Places) {
        let Reach::Within(tenant) = reach else { return };
        match self.counts.get(&*tenant.text).and_then(|(_, count)| count.checked_sub(1)) {
            None | Some(0) => {
                self.counts.remove_mut(&*tenant.text);
                places.leave(&tenant.text);
            }
            Some(rest) => self.counts.insert_mut(tenant.text.clone(), (Arc::clone(tenant), rest)),
        }
    }
}
