use core_types::{Permission, Principal, Restriction, Scope, UnixTime};

use crate::context::Context;
use crate::handle::{PermissionHandle, ScopeHandle};

static NOTHING_KNOWN: Context = Context::new();

/// A question: may this principal, by a credential with this restriction, do this, there, now?
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AccessRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What the credential may use of the principal's rights: part of the question, so that it cannot be
    /// forgotten. [`Restriction::unrestricted`] for a subject's own session.
    pub restriction: &'a Restriction,
    /// What is to be done.
    pub permission: &'a Permission,
    /// To what.
    pub resource: &'a Scope,
    /// When.
    pub now: UnixTime,
    /// What else is known, for conditions; nothing, unless it is said.
    pub context: &'a Context,
    // What was looked up before, of this permission and resource or of others.
    pub(crate) permission_handle: Option<&'a PermissionHandle<'a>>,
    pub(crate) scope_handle: Option<&'a ScopeHandle<'a>>,
}

impl<'a> AccessRequest<'a> {
    /// The question of these parts.
    #[must_use]
    pub const fn new(
        principal: &'a Principal,
        restriction: &'a Restriction,
        permission: &'a Permission,
        resource: &'a Scope,
        now: UnixTime,
    ) -> Self {
        Self {
            principal,
            restriction,
            permission,
            resource,
            now,
            context: &NOTHING_KNOWN,
            permission_handle: None,
            scope_handle: None,
        }
    }

    /// The same question, about a permission and a resource that were looked up before.
    #[must_use]
    pub const fn with_handles(
        mut self,
        permission: &'a PermissionHandle<'a>,
        resource: &'a ScopeHandle<'a>,
    ) -> Self {
        (self.permission, self.resource) = (permission.permission, resource.scope);
        (self.permission_handle, self.scope_handle) = (Some(permission), Some(resource));
        self
    }

    /// The same question, with this known.
    #[must_use]
    pub const fn with_context(mut self, context: &'a Context) -> Self {
        self.context = context;
        self
    }
}

/// A question as it comes in: as [`AccessRequest`], but for the texts.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TextRequest<'a> {
    /// Who asks: the text of a [`Principal`].
    pub principal: &'a str,
    /// What the credential may use of the principal's rights.
    pub restriction: &'a Restriction,
    /// What is to be done: the text of a [`Permission`].
    pub permission: &'a str,
    /// To what: the text of a [`Scope`].
    pub resource: &'a str,
    /// When.
    pub now: UnixTime,
    /// What else is known, for conditions; nothing, unless it is said.
    pub context: &'a Context,
}

impl<'a> TextRequest<'a> {
    /// The question of these parts.
    #[must_use]
    pub const fn new(
        principal: &'a str,
        restriction: &'a Restriction,
        permission: &'a str,
        resource: &'a str,
        now: UnixTime,
    ) -> Self {
        Self { principal, restriction, permission, resource, now, context: &NOTHING_KNOWN }
    }

    /// The same question, with this known.
    #[must_use]
    pub const fn with_context(mut self, context: &'a Context) -> Self {
        self.context = context;
        self
    }
}
