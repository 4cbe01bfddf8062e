use core_types::{PermissionPattern, Scope};
use state_store::{Expect, Key, Revision, Write};

use super::guard::Given;
use super::{Planned, Planner};
use crate::error::WriteError;

impl Planner<'_> {
    /// Plans that an unreadable record be no more: what
    /// [`Snapshot::poisoned`](state_store::replica::Snapshot::poisoned) names, with the revision it names. As
    /// nobody knows what the record denied, the caller must hold everything everywhere.
    ///
    /// # Errors
    /// [`WriteError::Unchanged`] when nothing unreadable stands there, [`WriteError::Escalation`], or about the
    /// caller: where the record denies the caller itself, an operator must do this
    /// ([`Grantor::dangerous_unguarded`](super::Grantor::dangerous_unguarded)).
    pub fn discard_unreadable(&self, key: &Key, revision: Revision) -> Result<Planned<()>, WriteError> {
        if !self.directory.is_unreadable(key) {
            return Err(WriteError::Unchanged);
        }
        let mut draft = self.begin()?;
        let (everything, everywhere) = (PermissionPattern::all(), Scope::root());
        self.guard(&mut draft, Given::always(&everything, &everywhere))?;
        let mut planned = draft.finish(());
        planned.batch.require(key.clone(), Expect::Revision(revision))?;
        planned.batch.write(key.clone(), Write::Delete)?;
        Ok(planned)
    }
}
