use std::sync::Arc;

use core_types::{Scope, SecureRandom, Subject, UnixTime};
use state_store::{Batch, Expect, LimitError, record};

use super::guard::{Guarded, LastKey, guard};
use super::plan::Planned;
use super::port::{PortPool, SshPort, VmName, choose};
use super::view::{RegistryView, VmEntry};
use super::vm::{Attachment, MAX_ATTACHMENTS, Vm};
use super::vm_record::{PortRecord, VmRecord};
use super::{SshKeyId, layout};
use crate::authorized_keys::{Clause, Options};
use crate::error::VmError;
use crate::name::AccountName;

/// A machine to add.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct NewVm {
    /// The project to add it to.
    pub project: Scope,
    /// Its name there.
    pub name: VmName,
    /// Within what its port is to be unique.
    pub pool: PortPool,
    /// Who adds it.
    pub created_by: Subject,
}

/// A key to attach to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it, and a new part must break it")]
pub struct Attach {
    /// Which key of the machine's project.
    pub key: SshKeyId,
    /// To which account.
    pub account: AccountName,
    /// What it may do there; [`Options::new`] for `restrict,pty`.
    pub options: Options,
    /// The first instant at which it may no longer.
    pub expires_at: Option<UnixTime>,
    /// Who attaches it.
    pub by: Subject,
}

/// Adds a machine, with a port that no other of its pool has: each free one is as likely as any other.
///
/// # Errors
/// [`VmError`].
pub fn plan_add_vm(
    view: &RegistryView,
    new: NewVm,
    now: UnixTime,
    rng: &dyn SecureRandom,
) -> Result<Planned<Arc<Vm>>, VmError> {
    let NewVm { project, name, pool, created_by } = new;
    if project.is_root() {
        return Err(VmError::NoProject);
    }
    let scope = project.child("vm", name.as_str()).map_err(|_| VmError::NoProject)?;
    let at = layout::vm(&project, &name).map_err(limit)?;
    if view.is_poisoned(&at) {
        return Err(VmError::Damaged);
    }
    if view.vm(&project, &name).is_some() {
        return Err(VmError::NameTaken);
    }
    let free: Vec<SshPort> = view.free_ports(&pool).map_err(limit)?;
    let port = choose(&free, rng)?.ok_or(VmError::PortsExhausted)?;
    let holder = PortRecord { project: project.clone(), vm: name.as_str().into() };
    let port_at = layout::port(&pool, port).map_err(limit)?;
    let vm = Vm { project, name, scope, pool, port, attachments: Vec::new(), created_by, created_at: now };
    let mut batch = Batch::new();
    batch.create(at, record::encode(&VmRecord::of(&vm))?)?;
    batch.create(port_at, record::encode(&holder)?)?;
    Ok(Planned { value: Arc::new(vm), batch })
}

/// Removes a machine; its port is free again, its keys stay with the project.
///
/// # Errors
/// [`VmError::NotFound`]; the others are the operator's.
pub fn plan_remove_vm(
    view: &RegistryView,
    project: &Scope,
    name: &VmName,
) -> Result<Planned<Arc<Vm>>, VmError> {
    let entry = find(view, project, name)?;
    let mut batch = Batch::new();
    batch.remove(layout::vm(project, name).map_err(limit)?, entry.revision)?;
    let port_at = layout::port(&entry.vm.pool, entry.vm.port).map_err(limit)?;
    // A port that cannot be read, or that another machine has, is left alone.
    if let Some(revision) = view.port_of(&entry.vm, &port_at) {
        batch.remove(port_at, revision)?;
    }
    Ok(Planned { value: Arc::clone(&entry.vm), batch })
}

/// Attaches a working key of the project to an account of a machine. The same again changes nothing.
///
/// # Errors
/// [`VmError`].
pub fn plan_attach(
    view: &RegistryView,
    project: &Scope,
    name: &VmName,
    new: Attach,
    now: UnixTime,
) -> Result<Planned<Arc<Vm>>, VmError> {
    let Attach { key: id, account, options, expires_at, by } = new;
    let entry = find(view, project, name)?;
    if options.clauses().iter().any(|clause| matches!(clause, Clause::CertAuthority | Clause::Principals(_)))
    {
        return Err(VmError::CertAuthority);
    }
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(VmError::ExpiresInPast);
    }
    let key = view.entry(project, id).filter(|key| view.works(&key.key, now)).ok_or(VmError::NoSuchKey)?;
    let mut batch = Batch::new();
    // Of a removal of the key and this, one conflicts.
    batch.require(layout::key(project, id).map_err(limit)?, Expect::Revision(key.revision))?;
    let at = layout::vm(project, name).map_err(limit)?;
    let same = |known: &&Attachment| known.key == id && known.account == account;
    if let Some(known) = entry.vm.attachments.iter().find(same) {
        if known.options == options && known.expires_at == expires_at {
            batch.require(at, Expect::Revision(entry.revision))?;
            return Ok(Planned { value: Arc::clone(&entry.vm), batch });
        }
        if view.attachment_works(&entry.vm, known, now) {
            return Err(VmError::AlreadyAttached);
        }
    }
    let mut vm = Vm::clone(&entry.vm);
    vm.attachments.retain(|known| !same(&known));
    vm.attachments.push(Attachment { key: id, account, options, expires_at, by, at: now });
    let vm = write(view, &mut batch, entry, vm, now)?;
    Ok(Planned { value: vm, batch })
}

/// Detaches a key from an account of a machine.
///
/// # Errors
/// [`VmError`]; [`VmError::LastKey`] unless it is meant.
pub fn plan_detach(
    view: &RegistryView,
    project: &Scope,
    name: &VmName,
    id: SshKeyId,
    account: &AccountName,
    last: LastKey,
    now: UnixTime,
) -> Result<Planned<Arc<Vm>>, VmError> {
    let entry = find(view, project, name)?;
    let is_it = |known: &Attachment| known.key == id && known.account == *account;
    if !entry.vm.attachments.iter().any(is_it) {
        return Err(VmError::NotAttached);
    }
    let mut batch = Batch::new();
    if last == LastKey::Guard {
        guard(view, &mut batch, entry, is_it, now)?;
    }
    let mut vm = Vm::clone(&entry.vm);
    vm.attachments.retain(|known| !is_it(known));
    let vm = write(view, &mut batch, entry, vm, now)?;
    Ok(Planned { value: vm, batch })
}

/// Replaces a machine's record; attachments that will never work again are left out of it.
pub(super) fn write(
    view: &RegistryView,
    batch: &mut Batch,
    entry: &VmEntry,
    mut vm: Vm,
    now: UnixTime,
) -> Result<Arc<Vm>, VmError> {
    let project = vm.project.clone();
    vm.attachments.retain(|known| {
        let is_over = known.expires_at.is_some_and(|expires_at| expires_at <= now);
        // A key that this view does not know is one that the same batch adds.
        let is_removed = view.entry(&project, known.key).is_some_and(|key| key.key.removed.is_some());
        !is_over && !is_removed
    });
    if vm.attachments.len() > MAX_ATTACHMENTS {
        return Err(VmError::TooManyKeys { limit: MAX_ATTACHMENTS });
    }
    let at = layout::vm(&vm.project, &vm.name).map_err(limit)?;
    batch.replace(at, entry.revision, record::encode(&VmRecord::of(&vm))?)?;
    Ok(Arc::new(vm))
}

fn find<'a>(view: &'a RegistryView, project: &Scope, name: &VmName) -> Result<&'a VmEntry, VmError> {
    let at = layout::vm(project, name).map_err(|_| VmError::NotFound)?;
    if view.is_poisoned(&at) {
        return Err(VmError::Damaged);
    }
    view.vm_entry(&at).ok_or(VmError::NotFound)
}

fn limit(error: LimitError) -> VmError {
    VmError::Batch(error.into())
}

impl From<Guarded> for VmError {
    fn from(guarded: Guarded) -> Self {
        match guarded {
            Guarded::LastKey { vm } => Self::LastKey { vm },
            Guarded::Batch(error) => Self::Batch(error),
        }
    }
}
