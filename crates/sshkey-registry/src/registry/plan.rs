use std::sync::Arc;

use core_types::{Scope, SecureRandom, Subject, UnixTime};
use state_store::{Batch, Expect, record};

use super::guard::{Guarded, LastKey, guard};
use super::record::{IndexRecord, KeyRecord};
use super::view::{Indexed, RegistryView};
use super::{Removal, SshKey, SshKeyId, layout};
use crate::admission::AdmittedKey;
use crate::error::{AddError, RemoveError};
use crate::name::{Comment, KeyName};

/// What a step results in once its batch is committed.
///
/// Until then nothing has happened. On a conflict plan again, on a view that shows at least the revision that the
/// conflicting commit had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing has happened until the batch is committed"]
#[non_exhaustive]
pub struct Planned<T> {
    /// The result, if the batch is committed.
    pub value: T,
    /// What to commit; other batches may be appended.
    pub batch: Batch,
}

/// A key to add.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct NewKey {
    /// The project to add it to.
    pub project: Scope,
    /// Its name there.
    pub name: KeyName,
    /// The key.
    pub key: AdmittedKey,
    /// What the customer wrote after the key.
    pub comment: Option<Comment>,
    /// Who adds it.
    pub added_by: Subject,
    /// The first instant at which it is no longer valid.
    pub expires_at: Option<UnixTime>,
}

/// What came of adding a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third outcome must break the caller")]
pub enum Added {
    /// The key is new to the project.
    New(Arc<SshKey>),
    /// The project has the key already, perhaps under another name; it stays as it is.
    AlreadyThere(Arc<SshKey>),
}

impl Added {
    /// The key as the project has it.
    #[must_use]
    pub const fn key(&self) -> &Arc<SshKey> {
        match self {
            Self::New(key) | Self::AlreadyThere(key) => key,
        }
    }
}

/// Adds a key to a project.
///
/// A key that the project has already is found again, with the id it has; that batch writes nothing and expects the
/// key still to be there. A key that was removed is added anew, with a new id; one that an operator has revoked
/// everywhere is refused.
///
/// # Errors
/// [`AddError`]; [`AddError::NameTaken`] is the customer's, the others are the operator's.
pub fn plan_add(
    view: &RegistryView,
    new: NewKey,
    now: UnixTime,
    rng: &dyn SecureRandom,
) -> Result<Planned<Added>, AddError> {
    if new.project.is_root() {
        return Err(AddError::RootScope);
    }
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(AddError::ExpiresInPast);
    }
    if view.is_revoked(new.key.key()) {
        return Err(AddError::Compromised);
    }
    let NewKey { project, name, key, .. } = &new;
    let by_fingerprint = layout::fingerprint(project, &key.key().fingerprint()).map_err(limit)?;
    let mut batch = Batch::new();
    match view.indexed(project, &by_fingerprint) {
        Indexed::Free => {}
        Indexed::Taken { entry, revision } => {
            batch.require(by_fingerprint, Expect::Revision(revision))?;
            return Ok(Planned { value: Added::AlreadyThere(Arc::clone(&entry.key)), batch });
        }
        Indexed::Damaged => return Err(AddError::Damaged),
    }
    let by_name = layout::name(project, name).map_err(limit)?;
    match view.indexed(project, &by_name) {
        Indexed::Free => {}
        Indexed::Taken { .. } => return Err(AddError::NameTaken),
        Indexed::Damaged => return Err(AddError::Damaged),
    }
    let id = SshKeyId::generate(now, rng)?;
    let index = record::encode(&IndexRecord { id })?;
    let at = layout::key(project, id).map_err(limit)?;
    let key = SshKey::live(id, new, now);
    batch.create(at, record::encode(&KeyRecord::of(&key))?)?;
    batch.create(by_fingerprint, index.clone())?;
    batch.create(by_name, index)?;
    Ok(Planned { value: Added::New(Arc::new(key)), batch })
}

/// Removes a key from its project: its record becomes a tombstone, its fingerprint and its name become free, and no
/// machine lets it in any more.
///
/// # Errors
/// [`RemoveError`]; [`RemoveError::NotFound`], also for a key that has been removed before, and
/// [`RemoveError::LastKey`] are the customer's, the others are the operator's.
pub fn plan_remove(
    view: &RegistryView,
    project: &Scope,
    id: SshKeyId,
    removed_by: Subject,
    last: LastKey,
    now: UnixTime,
) -> Result<Planned<Arc<SshKey>>, RemoveError> {
    let at = layout::key(project, id).map_err(|_| RemoveError::NotFound)?;
    if view.is_poisoned(&at) {
        return Err(RemoveError::Damaged);
    }
    let entry =
        view.entry(project, id).filter(|entry| entry.key.removed.is_none()).ok_or(RemoveError::NotFound)?;
    let key = SshKey { removed: Some(Removal { by: removed_by, at: now }), ..SshKey::clone(&entry.key) };
    let mut batch = Batch::new();
    batch.replace(at, entry.revision, record::encode(&KeyRecord::of(&key))?)?;
    if last == LastKey::Guard {
        for vm in view.vms_with(project, id) {
            guard(view, &mut batch, vm, |attachment| attachment.key == id, now)?;
        }
    }
    let indexes = [layout::fingerprint(project, &key.fingerprint), layout::name(project, &key.name)];
    for index in indexes {
        let index = index.map_err(state_store::BatchError::from)?;
        // Whatever an index says, nothing stands in the way of a removal.
        if let Indexed::Taken { entry, revision } = view.indexed(project, &index)
            && entry.key.id == id
        {
            batch.remove(index, revision)?;
        }
    }
    Ok(Planned { value: Arc::new(key), batch })
}

fn limit(error: state_store::LimitError) -> AddError {
    AddError::Batch(error.into())
}

impl From<Guarded> for RemoveError {
    fn from(guarded: Guarded) -> Self {
        match guarded {
            Guarded::LastKey { vm } => Self::LastKey { vm },
            Guarded::Batch(error) => Self::Batch(error),
        }
    }
}
