use std::collections::BTreeSet;

use core_types::{Id, Limit, PermissionPattern, Scope, SecureRandom, Subject, UnixTime};

use super::guard::{Given, tenant_of};
use super::{Planned, Planner};
use crate::builtin::BuiltInRole;
use crate::context::Text;
use crate::directory::Slot;
use crate::error::WriteError;
use crate::holder::{BreakGlassId, Holder};
use crate::key::{Place, Stamped};
use crate::record::{BindingRecord, BreakGlassRecord, SubjectRecord, SubjectState};

/// The longest that broken glass lets anyone do everything, in milliseconds: a day.
pub const MAX_BREAK_GLASS_MILLIS: u64 = 24 * 60 * 60 * 1000;

impl Planner<'_> {
    /// Plans that a subject can repair the directory when nobody else can: until then it holds everything that its
    /// home reaches, and what denied it anything, its boundary too, is taken away. Nothing of that is decided by
    /// another rule than ever: the record says who, why, when and what was taken away, and the rest is a binding
    /// that ends.
    ///
    /// The caller must hold everything there; when nobody does, an operator must do this
    /// ([`Grantor::dangerous_unguarded`](super::Grantor::dangerous_unguarded)).
    ///
    /// # Errors
    /// [`WriteError::AlreadyExpired`], [`WriteError::TooMany`] past [`MAX_BREAK_GLASS_MILLIS`],
    /// [`WriteError::Escalation`], [`WriteError::UnknownSubject`], [`WriteError::Unreadable`] where a record must be
    /// discarded first, or about the caller.
    pub fn break_glass(
        &self,
        subject: Subject,
        reason: Text,
        until: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<BreakGlassId>, WriteError> {
        if until <= self.now {
            return Err(WriteError::AlreadyExpired);
        }
        if until.as_millis().saturating_sub(self.now.as_millis()) > MAX_BREAK_GLASS_MILLIS {
            return Err(WriteError::TooMany { what: "hours of broken glass", limit: 24 });
        }
        let (id, binding) = (Id::generate(self.now, rng)?, Id::generate(self.now, rng)?);
        let kept = self.known_subject(subject)?;
        let (scope, holder) = (tenant_of(&kept.record.home), Holder::Subject(subject));
        let mut draft = self.begin()?;
        self.guard(&mut draft, Given::always(&PermissionPattern::all(), &scope))?;
        let was_disabled = kept.record.state == SubjectState::Disabled;
        let enabled = SubjectRecord { state: SubjectState::Enabled, ..kept.record.clone() };
        draft.replace(Place::Subject(subject), kept.revision, &enabled)?;
        let Some(node) = self.directory.subjects.get(&subject) else {
            return Err(WriteError::UnknownSubject(subject));
        };
        let boundary = match &node.boundary {
            Slot::Absent => Limit::Unlimited,
            Slot::Unreadable => return Err(WriteError::Unreadable { what: "boundary" }),
            Slot::Present(boundary) => {
                draft.remove(Place::Boundary(subject), boundary.revision)?;
                Limit::Only(boundary.record.limit.clone())
            }
        };
        if !node.carried.unreadable.is_empty() {
            return Err(WriteError::Unreadable { what: "binding" });
        }
        let mut ended = BTreeSet::new();
        for (role, bound) in self.counting(&node.carried) {
            if self.forbids(role, &bound.record.scope) {
                draft.remove(Place::Binding(holder, bound.record.id), bound.revision)?;
                ended.insert(bound.record.id);
            }
        }
        let mut left = BTreeSet::new();
        for membership in node.groups.iter() {
            if self.is_group_forbidding(membership.group) {
                let joined = membership.joined.ok_or(WriteError::Unreadable { what: "membership" })?;
                draft.remove(Place::Member(membership.group, subject), joined)?;
                left.insert(membership.group);
            }
        }
        let at = self.now;
        draft.create(
            Place::Binding(holder, binding),
            &BindingRecord {
                expires_at: Limit::Only(until),
                ..BindingRecord::new(binding, BuiltInRole::Administrator.into(), holder, scope)
            },
        )?;
        draft.stamp(Stamped::Holder(holder))?;
        let record =
            BreakGlassRecord { id, subject, reason, at, until, binding, was_disabled, boundary, ended, left };
        draft.create(Place::BreakGlass(id), &record)?;
        Ok(draft.finish(id))
    }

    /// Plans that the emergency be over: the record goes, and the binding that came with it, where it is still
    /// there. What was taken away stays away, until someone gives it again.
    ///
    /// # Errors
    /// [`WriteError::Unchanged`] when there is no such record, [`WriteError::Escalation`], or about the caller.
    pub fn close_glass(&self, id: BreakGlassId) -> Result<Planned<()>, WriteError> {
        let slot = self.directory.glass(id).ok_or(WriteError::Unchanged)?;
        let mut draft = self.begin()?;
        let everywhere = Scope::root();
        self.guard(&mut draft, Given::always(&PermissionPattern::all(), &everywhere))?;
        draft.remove(Place::BreakGlass(id), slot.revision)?;
        let holder = Holder::Subject(slot.record.subject);
        let bound = self.directory.bound(slot.record.binding);
        if let Some(bound) = bound.filter(|bound| bound.record.holder == holder) {
            draft.remove(Place::Binding(holder, bound.record.id), bound.revision)?;
        }
        Ok(draft.finish(()))
    }
}
