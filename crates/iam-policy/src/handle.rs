//! Permissions and scopes that were looked up once, for many decisions.

use core_types::{Permission, Scope};

use crate::authorizer::Authorizer;

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
    pub(crate) chain: [u32; MAX_CHAIN],
    pub(crate) len: usize,
    pub(crate) generation: u64,
}

impl<'s> ScopeHandle<'s> {
    /// The scope.
    #[must_use]
    pub const fn scope(&self) -> &'s Scope {
        self.scope
    }

    #[inline]
    pub(crate) fn chain(&self) -> &[u32] {
        self.chain.get(..self.len).unwrap_or(&self.chain)
    }
}

impl Authorizer<'_> {
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

/// The scope itself, and all that contain it.
pub(crate) const MAX_CHAIN: usize = 1 + core_types::scope::MAX_LEVELS;
