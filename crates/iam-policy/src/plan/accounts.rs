use core_types::{Id, Limit, MachineId, Scope, SecureRandom, ServiceAccountId, Subject, UnixTime, UserId};

use super::draft::{Draft, readable};
use super::{Planned, Planner};
use crate::builtin::BuiltInRole;
use crate::directory::{Directory, Kept};
use crate::error::WriteError;
use crate::holder::{BindingId, Holder};
use crate::key::{Place, Stamped};
use crate::name::Name;
use crate::record::{BindingRecord, Stamp, SubjectRecord, SubjectState};

/// What the first start makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirstAdministrator {
    /// The administrator.
    pub user: UserId,
    /// Its binding to [`BuiltInRole::Administrator`] at the root.
    pub binding: BindingId,
}

impl Directory {
    /// Plans the first administrator: a user of the root that holds everything. Works once in the life of a
    /// store, whatever happens to that user later.
    ///
    /// # Errors
    /// [`WriteError::AlreadyStarted`]; the batch conflicts where another one was first.
    pub fn plan_first_administrator(
        &self,
        name: Name,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<FirstAdministrator>, WriteError> {
        if self.is_started() {
            return Err(WriteError::AlreadyStarted);
        }
        let user = Id::generate(now, rng)?;
        let binding = Id::generate(now, rng)?;
        let id = Subject::User(user);
        let mut draft = Draft::default();
        draft.create(Place::Started, &Stamp {})?;
        create_subject(&mut draft, id, name, Scope::root())?;
        let record = BindingRecord {
            id: binding,
            role: BuiltInRole::Administrator.into(),
            holder: Holder::Subject(id),
            scope: Scope::root(),
            expires_at: Limit::Unlimited,
        };
        draft.create(Place::Binding(record.holder, binding), &record)?;
        draft.stamp(Stamped::Holder(record.holder))?;
        Ok(draft.finish(FirstAdministrator { user, binding }))
    }
}

impl Planner<'_> {
    /// Plans a user, which holds nothing at first.
    ///
    /// # Errors
    /// [`WriteError`] about the caller.
    pub fn create_user(
        &self,
        name: Name,
        home: Scope,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<UserId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let mut draft = self.begin()?;
        create_subject(&mut draft, Subject::User(id), name, home)?;
        Ok(draft.finish(id))
    }

    /// Plans a service account, which holds nothing at first.
    ///
    /// # Errors
    /// [`WriteError`] about the caller.
    pub fn create_service_account(
        &self,
        name: Name,
        home: Scope,
        rng: &dyn SecureRandom,
    ) -> Result<Planned<ServiceAccountId>, WriteError> {
        let id = Id::generate(self.now, rng)?;
        let mut draft = self.begin()?;
        create_subject(&mut draft, Subject::ServiceAccount(id), name, home)?;
        Ok(draft.finish(id))
    }

    /// Plans a machine, whose id comes from where machines join; it holds nothing at first.
    ///
    /// # Errors
    /// [`WriteError`] about the caller. A machine that is known already makes the batch conflict.
    pub fn register_machine(
        &self,
        id: MachineId,
        name: Name,
        home: Scope,
    ) -> Result<Planned<MachineId>, WriteError> {
        let mut draft = self.begin()?;
        create_subject(&mut draft, Subject::Machine(id), name, home)?;
        Ok(draft.finish(id))
    }

    /// Plans that the subject may do nothing any more, whatever it holds.
    ///
    /// # Errors
    /// [`WriteError::UnknownSubject`], [`WriteError::Unreadable`], [`WriteError::Unchanged`], or about the
    /// caller.
    pub fn disable(&self, subject: Subject) -> Result<Planned<()>, WriteError> {
        let kept = self.known_subject(subject)?;
        let mut draft = self.begin()?;
        self.set_state(&mut draft, kept, SubjectState::Disabled)?;
        Ok(draft.finish(()))
    }

    /// Plans that the subject may use its rights again; the caller must hold all of them.
    ///
    /// # Errors
    /// As [`disable`](Self::disable), and [`WriteError::Escalation`].
    pub fn enable(&self, subject: Subject) -> Result<Planned<()>, WriteError> {
        let kept = self.known_subject(subject)?;
        let mut draft = self.begin()?;
        self.set_state(&mut draft, kept, SubjectState::Enabled)?;
        self.guard_everything(&mut draft, kept)?;
        Ok(draft.finish(()))
    }

    pub(super) fn known_subject(&self, subject: Subject) -> Result<&Kept<SubjectRecord>, WriteError> {
        let slot = self.directory.subjects.get(&subject).map(|node| &node.record);
        readable(slot, "subject", WriteError::UnknownSubject(subject))
    }

    fn set_state(
        &self,
        draft: &mut Draft,
        kept: &Kept<SubjectRecord>,
        state: SubjectState,
    ) -> Result<(), WriteError> {
        if kept.record.state == state {
            return Err(WriteError::Unchanged);
        }
        let record = SubjectRecord { state, ..kept.record.clone() };
        draft.replace(Place::Subject(record.id), kept.revision, &record)
    }
}

fn create_subject(draft: &mut Draft, id: Subject, name: Name, home: Scope) -> Result<(), WriteError> {
    draft.create(Place::Subject(id), &SubjectRecord { id, name, home, state: SubjectState::Enabled })
}
