use core_types::{Id, Limit, Scope, SecureRandom};

use super::draft::{Draft, readable};
use super::{Planned, Planner};
use crate::directory::{Clause, Kept};
use crate::error::WriteError;
use crate::holder::PolicyId;
use crate::key::{Place, Stamped};
use crate::name::Name;
use crate::policy::{Effect, PolicyDocument, Statement};
use crate::record::PolicyRecord;

impl Planner<'_> {
    /// Plans a policy that can be bound and attached at `home` and below; the caller must hold there all that
    /// it allows.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], or about the caller.
    pub fn create_policy(
        &self,
        name: Name,
        home: Scope,
        document: PolicyDocument,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<PolicyId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let mut draft = self.begin()?;
        for statement in document.statements().iter().filter(|statement| statement.effect() == Effect::Allow)
        {
            self.guard_clause(&mut draft, Clause::of(statement), &home, Limit::Unlimited)?;
        }
        draft.create(Place::Policy(id), &PolicyRecord { id, name, home, document })?;
        Ok(draft.finish(id))
    }

    /// Plans that the policy say this from now on; the caller must hold, at the home of the policy and without
    /// end, all that it allows and did not allow before, and all that it denied and denies no more.
    ///
    /// Statements are compared one by one: what was said by two and is said by one is new.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownPolicy`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn update_policy(
        &self,
        policy: PolicyId,
        document: PolicyDocument,
    ) -> Result<Planned<()>, WriteError> {
        let kept = self.known_policy(policy)?;
        let mut draft = self.begin()?;
        let (old, home) = (&kept.record.document, &kept.record.home);
        if *old == document {
            return Err(WriteError::Unchanged);
        }
        let gone = missing_from(old, &document);
        let new = missing_from(&document, old);
        let lifted = gone.filter(|statement| statement.effect() == Effect::Deny);
        let allowed = new.filter(|statement| statement.effect() == Effect::Allow);
        for statement in allowed.chain(lifted) {
            self.guard_clause(&mut draft, Clause::of(statement), home, Limit::Unlimited)?;
        }
        if denies(&document) {
            draft.stamp(Stamped::Forbidding)?;
        }
        let record = PolicyRecord { document, ..kept.record.clone() };
        draft.replace(Place::Policy(policy), kept.revision, &record)?;
        Ok(draft.finish(()))
    }

    /// Plans that the policy be no more.
    ///
    /// # Errors
    /// [`WriteError::InUse`] while it is bound or attached, [`WriteError::UnknownPolicy`],
    /// [`WriteError::Unreadable`], or about the caller.
    pub fn delete_policy(&self, policy: PolicyId) -> Result<Planned<()>, WriteError> {
        let kept = self.known_policy(policy)?;
        let mut draft = self.begin()?;
        let by = self.directory.policies.get(&policy).map_or(0, |node| node.uses);
        if by > 0 {
            return Err(WriteError::InUse { by });
        }
        draft.remove(Place::Policy(policy), kept.revision)?;
        draft.rest_on_stamp(Stamped::Policy(policy), self)?;
        Ok(draft.finish(()))
    }

    pub(super) fn known_policy(&self, policy: PolicyId) -> Result<&Kept<PolicyRecord>, WriteError> {
        let slot = self.directory.policies.get(&policy).map(|node| &node.record);
        readable(slot, "policy", WriteError::UnknownPolicy(policy))
    }

    /// Says that the policy comes to be used, and, where it denies, that something comes to be forbidden.
    pub(super) fn use_policy(&self, draft: &mut Draft, kept: &Kept<PolicyRecord>) -> Result<(), WriteError> {
        draft.rest_on(Place::Policy(kept.record.id), kept.revision)?;
        draft.stamp(Stamped::Policy(kept.record.id))
    }
}

/// Whether any statement denies.
pub(super) fn denies(document: &PolicyDocument) -> bool {
    document.statements().iter().any(|statement| statement.effect() == Effect::Deny)
}

/// The statements of the one that no single statement of the other contains.
fn missing_from<'d>(
    from: &'d PolicyDocument,
    other: &'d PolicyDocument,
) -> impl Iterator<Item = &'d Statement> {
    let is_there = |statement: &Statement| other.statements().iter().any(|other| other.contains(statement));
    from.statements().iter().filter(move |statement| !is_there(statement))
}
