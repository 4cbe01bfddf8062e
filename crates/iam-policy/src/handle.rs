//! Permissions and scopes that were looked up once, for many decisions.

use core_types::{Permission, Scope};

use crate::authorizer::Authorizer;
use crate::directory::{MAX_IN_ROW, Patterns};

/// A permission that was looked up in one state of the directory: decisions by it compare numbers, not texts.
///
/// Good for as long as nothing new is permitted or forbidden anywhere. By another state, decisions look it up again:
/// they are never wrong, only slower.
#[derive(Debug, Clone, Copy)]
pub struct PermissionHandle<'p> {
    pub(crate) permission: &'p Permission,
    pub(crate) numbers: [u32; 4],
    pub(crate) generation: u64,
}

impl<'p> PermissionHandle<'p> {
    /// The permission.
    #[must_use]
    pub const fn permission(&self) -> &'p Permission {
        self.permission
    }
}

/// A scope that was looked up in one state of the directory; as [`PermissionHandle`].
#[derive(Debug, Clone, Copy)]
pub struct ScopeHandle<'s> {
    pub(crate) scope: &'s Scope,
    pub(crate) chain: Chain,
    pub(crate) generation: u64,
}

impl<'s> ScopeHandle<'s> {
    /// The scope.
    #[must_use]
    pub const fn scope(&self) -> &'s Scope {
        self.scope
    }
}

/// Permissions that were looked up in one state of the directory, for questions about all of them; as
/// [`PermissionHandle`].
#[derive(Debug, Clone)]
pub struct PermissionTable<'p> {
    pub(crate) permissions: &'p [Permission],
    // How many words a set of permissions has.
    width: usize,
    // For each number, as far as rows have them, the set of permissions that its pattern matches.
    matched: Vec<u64>,
    pub(crate) generation: u64,
}

impl<'p> PermissionTable<'p> {
    pub(crate) fn of(permissions: &'p [Permission], patterns: &Patterns) -> Self {
        let width = permissions.len().div_ceil(64);
        let mut matched = vec![0_u64; width.saturating_mul(MAX_IN_ROW)];
        for (at, permission) in permissions.iter().enumerate() {
            for number in
                patterns.of(permission).into_iter().filter_map(|number| usize::try_from(number).ok())
            {
                let place = number.saturating_mul(width).saturating_add(at / 64);
                if let Some(word) = matched.get_mut(place).filter(|_| number < MAX_IN_ROW) {
                    *word |= 1 << (at % 64);
                }
            }
        }
        Self { permissions, width, matched, generation: patterns.generation() }
    }

    /// The permissions.
    #[must_use]
    pub const fn permissions(&self) -> &'p [Permission] {
        self.permissions
    }

    /// Those that the pattern of this number matches.
    #[inline]
    pub(crate) fn matched(&self, number: u32) -> &[u64] {
        let start = usize::try_from(number).unwrap_or(MAX_IN_ROW).saturating_mul(self.width);
        self.matched.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }
}

impl Authorizer<'_> {
    /// Looks these permissions up, for [`what_can_of`](Self::what_can_of).
    #[must_use]
    pub fn permissions<'p>(&self, permissions: &'p [Permission]) -> PermissionTable<'p> {
        PermissionTable::of(permissions, &self.directory().patterns)
    }

    /// Looks the permission up.
    #[must_use]
    pub fn permission<'p>(&self, permission: &'p Permission) -> PermissionHandle<'p> {
        self.directory().patterns.handle(permission)
    }

    /// Looks the scope up.
    #[must_use]
    pub fn scope<'s>(&self, scope: &'s Scope) -> ScopeHandle<'s> {
        self.directory().places.handle(scope)
    }
}

/// The numbers of all scopes that contain one; in the places that are left, that of nothing.
pub(crate) type Chain = [u32; MAX_CHAIN];

/// The scope itself, and all that contain it.
pub(crate) const MAX_CHAIN: usize = 1 + core_types::scope::MAX_LEVELS;
