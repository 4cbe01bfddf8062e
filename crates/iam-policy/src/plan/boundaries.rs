use core_types::{Restriction, Subject};

use super::draft::Draft;
use super::{Planned, Planner};
use crate::directory::{Kept, Slot};
use crate::error::WriteError;
use crate::holder::Holder;
use crate::key::{Place, Stamped};
use crate::record::{BoundaryRecord, SubjectRecord};

impl Planner<'_> {
    /// Plans that the subject may do no more than this, whatever it holds. A boundary without grants allows
    /// nothing; no boundary at all is another thing ([`remove_boundary`](Self::remove_boundary)).
    ///
    /// Where there is a boundary already and this one does not lie within it, the caller must hold everything
    /// the subject holds.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownSubject`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn set_boundary(&self, subject: Subject, limit: Restriction) -> Result<Planned<()>, WriteError> {
        let kept = self.known_subject(subject)?;
        let mut draft = self.begin()?;
        let record = BoundaryRecord { subject, limit };
        match self.boundary(subject)? {
            None => draft.create(Place::Boundary(subject), &record)?,
            Some(old) if old.record.limit == record.limit => return Err(WriteError::Unchanged),
            Some(old) => {
                if !old.record.limit.contains(&record.limit) {
                    self.guard_everything(&mut draft, kept)?;
                }
                draft.replace(Place::Boundary(subject), old.revision, &record)?;
            }
        }
        draft.rest_on(Place::Subject(subject), kept.revision)?;
        draft.stamp(Stamped::Forbidding)?;
        Ok(draft.finish(()))
    }

    /// Plans that the subject have no boundary; the caller must hold everything the subject holds.
    ///
    /// # Errors
    /// [`WriteError::Escalation`], [`WriteError::UnknownSubject`], [`WriteError::Unreadable`],
    /// [`WriteError::Unchanged`], or about the caller.
    pub fn remove_boundary(&self, subject: Subject) -> Result<Planned<()>, WriteError> {
        let kept = self.known_subject(subject)?;
        let mut draft = self.begin()?;
        let old = self.boundary(subject)?.ok_or(WriteError::Unchanged)?;
        self.guard_everything(&mut draft, kept)?;
        draft.remove(Place::Boundary(subject), old.revision)?;
        Ok(draft.finish(()))
    }

    /// Refuses unless the caller may give everything the subject carries, by itself and by its groups.
    pub(super) fn guard_everything(
        &self,
        draft: &mut Draft,
        subject: &Kept<SubjectRecord>,
    ) -> Result<(), WriteError> {
        let (id, home) = (subject.record.id, &subject.record.home);
        draft.rest_on_stamp(Stamped::Holder(Holder::Subject(id)), self)?;
        let Some(node) = self.directory.subjects.get(&id) else { return Ok(()) };
        self.guard_carried(draft, &node.carried, home)?;
        for membership in node.groups.iter() {
            self.guard_groups(draft, &self.group_and_above(membership.group)?, home)?;
        }
        Ok(())
    }

    fn boundary(&self, subject: Subject) -> Result<Option<&Kept<BoundaryRecord>>, WriteError> {
        match self.directory.subjects.get(&subject).map(|node| &node.boundary) {
            None | Some(Slot::Absent) => Ok(None),
            Some(Slot::Unreadable) => Err(WriteError::Unreadable { what: "boundary" }),
            Some(Slot::Present(kept)) => Ok(Some(kept)),
        }
    }
}
