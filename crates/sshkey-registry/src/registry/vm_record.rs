use core_types::{Fingerprint, Scope, Subject, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::{Record, RecordError};

use super::SshKeyId;
use super::port::{PortPool, SshPort, VmName};
use super::record::present;
use super::vm::{Attachment, MAX_ATTACHMENTS, Vm};
use crate::authorized_keys::Options;
use crate::name::AccountName;

/// A machine, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VmRecord {
    project: Scope,
    name: String,
    pool: String,
    port: u16,
    attachments: Vec<AttachmentRecord>,
    created_by: Subject,
    created_at: UnixTime,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachmentRecord {
    key: SshKeyId,
    account: String,
    options: String,
    #[serde(deserialize_with = "present")]
    expires_at: Option<UnixTime>,
    by: Subject,
    at: UnixTime,
}

impl Record for VmRecord {
    const KIND: &'static str = "sshkey-registry/vm";
    const VERSION: u32 = 1;
}

/// Who has a port.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortRecord {
    pub(super) project: Scope,
    pub(super) vm: String,
}

impl Record for PortRecord {
    const KIND: &'static str = "sshkey-registry/port";
    const VERSION: u32 = 1;
}

/// A key that works nowhere any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompromiseRecord {
    pub(super) fingerprint: Fingerprint,
    /// The digest of its number, where the key itself was known: other keys with the same private half go with it.
    #[serde(deserialize_with = "present")]
    pub(super) material: Option<Fingerprint>,
    pub(super) by: Subject,
    pub(super) at: UnixTime,
}

impl Record for CompromiseRecord {
    const KIND: &'static str = "sshkey-registry/compromise";
    const VERSION: u32 = 1;
}

impl VmRecord {
    pub(super) fn of(vm: &Vm) -> Self {
        Self {
            project: vm.project.clone(),
            name: vm.name.as_str().into(),
            pool: vm.pool.as_str().into(),
            port: vm.port.get(),
            attachments: vm.attachments.iter().map(AttachmentRecord::of).collect(),
            created_by: vm.created_by,
            created_at: vm.created_at,
        }
    }

    pub(super) fn into_vm(self) -> Result<Vm, RecordError> {
        if self.attachments.len() > MAX_ATTACHMENTS {
            return Err(inconsistent("it has too many attachments"));
        }
        let name = VmName::parse(&self.name).map_err(|_| inconsistent("its name is none"))?;
        let scope = self.project.child("vm", name.as_str());
        Ok(Vm {
            scope: scope.map_err(|_| inconsistent("its project can have no machines"))?,
            project: self.project,
            name,
            pool: PortPool::parse(&self.pool).map_err(|_| inconsistent("its pool is none"))?,
            port: SshPort::new(self.port).map_err(|_| inconsistent("its port is none"))?,
            attachments: self
                .attachments
                .into_iter()
                .map(AttachmentRecord::into_attachment)
                .collect::<Result<_, _>>()?,
            created_by: self.created_by,
            created_at: self.created_at,
        })
    }
}

impl AttachmentRecord {
    fn of(attachment: &Attachment) -> Self {
        Self {
            key: attachment.key,
            account: attachment.account.as_str().into(),
            options: attachment.options.to_string(),
            expires_at: attachment.expires_at,
            by: attachment.by,
            at: attachment.at,
        }
    }

    fn into_attachment(self) -> Result<Attachment, RecordError> {
        Ok(Attachment {
            key: self.key,
            account: AccountName::parse(&self.account).map_err(|_| inconsistent("an account is none"))?,
            options: Options::parse(&self.options).map_err(|_| inconsistent("options are none"))?,
            expires_at: self.expires_at,
            by: self.by,
            at: self.at,
        })
    }
}

pub(super) const fn inconsistent(what: &'static str) -> RecordError {
    RecordError::Inconsistent { kind: VmRecord::KIND, what }
}
