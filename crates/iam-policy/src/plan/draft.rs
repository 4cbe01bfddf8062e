use state_store::{Batch, Expect, Record, Revision, Write, record};

use super::{Planned, Planner};
use crate::directory::{Kept, Slot};
use crate::error::WriteError;
use crate::key::{Place, Stamped};
use crate::record::Stamp;

/// A batch that is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    batch: Batch,
}

impl Draft {
    pub(super) fn finish<T>(self, value: T) -> Planned<T> {
        Planned { value, batch: self.batch }
    }

    /// Expects that `place` is still as it was written at `revision`.
    pub(super) fn rest_on(&mut self, place: Place, revision: Revision) -> Result<(), WriteError> {
        Ok(self.batch.require(place.key()?, Expect::Revision(revision))?)
    }

    pub(super) fn rest_on_absence(&mut self, place: Place) -> Result<(), WriteError> {
        Ok(self.batch.require(place.key()?, Expect::Absent)?)
    }

    /// Expects that `of` has not come to carry more than the planner saw.
    pub(super) fn rest_on_stamp(&mut self, of: Stamped, planner: &Planner<'_>) -> Result<(), WriteError> {
        match planner.directory.stamp(of) {
            Some(revision) => self.rest_on(Place::Stamp(of), revision),
            None => self.rest_on_absence(Place::Stamp(of)),
        }
    }

    /// Says that `of` comes to carry more. No precondition: those who do this at the same time do not
    /// disturb each other.
    pub(super) fn stamp(&mut self, of: Stamped) -> Result<(), WriteError> {
        let write = Write::Put(record::encode(&Stamp {})?);
        Ok(self.batch.write(Place::Stamp(of).key()?, write)?)
    }

    pub(super) fn create<R: Record>(&mut self, place: Place, record: &R) -> Result<(), WriteError> {
        Ok(self.batch.create(place.key()?, record::encode(record)?)?)
    }

    pub(super) fn replace<R: Record>(
        &mut self,
        place: Place,
        seen: Revision,
        record: &R,
    ) -> Result<(), WriteError> {
        Ok(self.batch.replace(place.key()?, seen, record::encode(record)?)?)
    }

    pub(super) fn remove(&mut self, place: Place, seen: Revision) -> Result<(), WriteError> {
        Ok(self.batch.remove(place.key()?, seen)?)
    }
}

/// The record in a slot, or why there is none to work with.
pub(super) fn readable<'a, T>(
    slot: Option<&'a Slot<T>>,
    what: &'static str,
    unknown: WriteError,
) -> Result<&'a Kept<T>, WriteError> {
    match slot {
        None | Some(Slot::Absent) => Err(unknown),
        Some(Slot::Unreadable) => Err(WriteError::Unreadable { what }),
        Some(Slot::Present(kept)) => Ok(kept),
    }
}
