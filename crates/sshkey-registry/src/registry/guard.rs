use core_types::UnixTime;
use state_store::{Batch, BatchError, Expect};

use super::layout;
use super::view::{RegistryView, VmEntry};
use super::vm::Attachment;

/// What to do when a step would leave a machine without a working key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break the caller")]
pub enum LastKey {
    /// Refuse the step.
    Guard,
    /// Go on: nobody can log in then.
    DangerouslyGiveUp,
}

/// Why a step is refused.
#[derive(Debug)]
pub(super) enum Guarded {
    LastKey { vm: Box<str> },
    Batch(BatchError),
}

/// That a machine which has a working key keeps one without `lost`. The batch expects it, so that two steps that each
/// count on what the other takes away do not both happen.
pub(super) fn guard(
    view: &RegistryView,
    batch: &mut Batch,
    entry: &VmEntry,
    lost: impl Fn(&Attachment) -> bool,
    now: UnixTime,
) -> Result<(), Guarded> {
    let mut loses = false;
    let mut witness = None;
    for (attachment, key) in view.working(&entry.vm, now) {
        if lost(attachment) {
            loses = true;
        } else {
            witness = Some(key.id);
        }
    }
    if !loses {
        return Ok(());
    }
    let vm = &entry.vm;
    let id = witness.ok_or_else(|| Guarded::LastKey { vm: vm.name.as_str().into() })?;
    let key = view.entry(&vm.project, id).ok_or_else(|| Guarded::LastKey { vm: vm.name.as_str().into() })?;
    let limit = |error: state_store::LimitError| Guarded::Batch(error.into());
    let at = layout::vm(&vm.project, &vm.name).map_err(limit)?;
    batch.require(at, Expect::Revision(entry.revision)).map_err(Guarded::Batch)?;
    let at = layout::key(&vm.project, id).map_err(limit)?;
    batch.require(at, Expect::Revision(key.revision)).map_err(Guarded::Batch)
}
