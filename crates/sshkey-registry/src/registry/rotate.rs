use std::sync::Arc;
use std::time::Duration;

use core_types::{SecureRandom, UnixTime};
use state_store::{Expect, record};

use super::plan::{Added, NewKey, Planned, plan_add};
use super::record::KeyRecord;
use super::view::RegistryView;
use super::vm::{Attachment, Vm};
use super::{SshKey, SshKeyId, layout, vm_plan};
use crate::error::{AddError, OptionsError, RotateError};

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotated {
    /// The new key.
    pub new: Arc<SshKey>,
    /// The old key, with its new expiry.
    pub old: Arc<SshKey>,
    /// The machines that have both now.
    pub vms: Vec<Arc<Vm>>,
}

/// Puts a new key beside an old one on every machine that has it, and lets the old one expire after `overlap`.
///
/// The new key gets the same accounts and options, and where it lies on a security key those that the policy asks for
/// which admitted it ([`options_for`](crate::AdmissionPolicy::options_for)). One batch changes at most some 250 machines; where more have the
/// key, attach the new one in steps.
///
/// # Errors
/// [`RotateError`].
pub fn plan_rotate(
    view: &RegistryView,
    old: SshKeyId,
    new: NewKey,
    overlap: Duration,
    now: UnixTime,
    rng: &dyn SecureRandom,
) -> Result<Planned<Rotated>, RotateError> {
    let project = new.project.clone();
    let by = new.added_by;
    let (demand, key_type) = (new.key.demand(), new.key.key().key_type());
    let entry = view.entry(&project, old).filter(|entry| view.works(&entry.key, now));
    let entry = entry.ok_or(RotateError::NotFound)?;
    if new.key.key() == entry.key.key() {
        return Err(RotateError::SameKey);
    }
    let Planned { value: added, mut batch } = plan_add(view, new, now, rng)?;
    if let Added::AlreadyThere(known) = &added {
        // It stays as it is, and must work.
        let known = view.entry(&project, known.id).filter(|known| view.works(&known.key, now));
        let known = known.ok_or(RotateError::NotFound)?;
        let at = layout::key(&project, known.key.id).map_err(|error| AddError::Batch(error.into()))?;
        batch.require(at, Expect::Revision(known.revision)).map_err(AddError::Batch)?;
    }
    let new = Arc::clone(added.key());
    let ends = now.saturating_add(overlap);
    let expires_at = Some(entry.key.expires_at.map_or(ends, |known| known.min(ends)));
    let key = Arc::new(SshKey { expires_at, ..SshKey::clone(&entry.key) });
    let at = layout::key(&project, old).map_err(|error| AddError::Batch(error.into()))?;
    let value = record::encode(&KeyRecord::of(&key)).map_err(AddError::Record)?;
    batch.replace(at, entry.revision, value).map_err(AddError::Batch)?;
    let mut vms = Vec::new();
    for entry in view.vms_with(&project, old) {
        let mut vm = Vm::clone(&entry.vm);
        let taken =
            |account| entry.vm.attachments.iter().any(|one| one.key == new.id && one.account == account);
        let added: Vec<_> = (entry.vm.attachments.iter())
            .filter(|one| one.key == old && !taken(one.account.clone()))
            .map(|one| {
                let options = demand.on(key_type, one.options.clone())?;
                Ok(Attachment { key: new.id, by, at: now, options, ..one.clone() })
            })
            .collect::<Result<_, OptionsError>>()?;
        vm.attachments.extend(added);
        vms.push(vm_plan::write(view, &mut batch, entry, vm, now)?);
    }
    Ok(Planned { value: Rotated { new, old: key, vms }, batch })
}
