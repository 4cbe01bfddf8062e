use core_types::{Permission, Principal, Restriction, Scope, UnixTime};

use crate::context::Context;

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
        Self { principal, restriction, permission, resource, now, context: &NOTHING_KNOWN }
    }

    /// The same question, with this known.
    #[must_use]
    pub const fn with_context(mut self, context: &'a Context) -> Self {
        self.context = context;
        self
    }
}
