use core_types::{Scope, Subject, UnixTime};

use super::SshKeyId;
use super::port::{PortPool, SshPort, VmName};
use crate::authorized_keys::Options;
use crate::name::AccountName;

/// The most attachments a machine may have.
pub const MAX_ATTACHMENTS: usize = 128;

/// A machine of a project: its SSH port, and which keys may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    pub(super) project: Scope,
    pub(super) name: VmName,
    pub(super) scope: Scope,
    pub(super) pool: PortPool,
    pub(super) port: SshPort,
    pub(super) attachments: Vec<Attachment>,
    pub(super) created_by: Subject,
    pub(super) created_at: UnixTime,
}

/// A key that may log in to an account of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Which key of the project.
    pub key: SshKeyId,
    /// To which account.
    pub account: AccountName,
    /// What it may do there.
    pub options: Options,
    /// The first instant at which it may no longer; the key's own expiry counts as well.
    pub expires_at: Option<UnixTime>,
    /// Who attached it.
    pub by: Subject,
    /// When.
    pub at: UnixTime,
}

impl Vm {
    /// The project it belongs to.
    #[must_use]
    pub const fn project(&self) -> &Scope {
        &self.project
    }

    /// Its name within the project.
    #[must_use]
    pub const fn name(&self) -> &VmName {
        &self.name
    }

    /// Its own scope, `<project>/vm/<name>`: what its bundles name it.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Within what its port is unique.
    #[must_use]
    pub const fn pool(&self) -> &PortPool {
        &self.pool
    }

    /// The port its sshd is reached at.
    #[must_use]
    pub const fn port(&self) -> SshPort {
        self.port
    }

    /// Its keys, in the order in which they were attached; some may not work any more.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Who created it.
    #[must_use]
    pub const fn created_by(&self) -> Subject {
        self.created_by
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> UnixTime {
        self.created_at
    }
}
