//! The keys and machines of projects: records, indexes, and the steps that change them.
//!
//! A step (`plan_…`) looks at a [`RegistryView`] and returns a [`Planned`] batch for the embedder to commit, alone or
//! together with other concerns' batches. The batch expects what the step saw, so that of two steps that collide one
//! gets a conflict from the store, and plans again on a newer view.
//!
//! # Key layout
//! All keys begin with `sshkey-registry/` ([`PREFIX`]); `<project>` is [`Scope::as_path`], whose segments come in pairs
//! of `[a-z0-9-]{1,63}`, so that no two of these keys are one.
//!
//! | Key | Record | Holds |
//! |---|---|---|
//! | `sshkey-registry/key/<project>/<id>` | `sshkey-registry/key` 1 | a key, live or removed: the tombstone stays |
//! | `sshkey-registry/by-fingerprint/<project>/<SHA-256 in 64 hexadecimal digits>` | `sshkey-registry/index` 1 | the id of the live key |
//! | `sshkey-registry/by-name/<project>/<name in lower case>` | `sshkey-registry/index` 1 | the id of the live key |
//! | `sshkey-registry/vm/<project>/_<name>` | `sshkey-registry/vm` 1 | a machine, its port and its attachments |
//! | `sshkey-registry/port/<pool>/<port>` | `sshkey-registry/port` 1 | the machine that has the port |
//! | `sshkey-registry/compromised/<SHA-256 in 64 hexadecimal digits>` | `sshkey-registry/compromise` 1 | a key that works nowhere any more |

mod compromise;
mod guard;
mod hot;
mod layout;
mod plan;
mod port;
mod record;
mod rotate;
mod view;
mod vm;
mod vm_plan;
mod vm_record;

use core_types::{Fingerprint, Scope, Subject, UnixTime};

pub use self::compromise::{Revoked, plan_revoke_everywhere};
pub use self::guard::LastKey;
pub use self::layout::PREFIX;
pub use self::plan::{Added, NewKey, Planned, plan_add, plan_remove};
pub use self::port::{PortPool, SshPort, VmName};
pub use self::rotate::{Rotated, plan_rotate};
pub use self::view::{RegistryView, Standing, Usage};
pub use self::vm::{Attachment, MAX_ATTACHMENTS, Vm};
pub use self::vm_plan::{Attach, NewVm, plan_add_vm, plan_attach, plan_detach, plan_remove_vm};
use crate::admission::material_digest;
use crate::key::PublicKey;
use crate::name::{Comment, KeyName};

core_types::id_kind! {
    /// A key of a project.
    pub SshKeyKind = "key";
}

/// The id of a key within its project. A key that is removed and added again has a new one.
pub type SshKeyId = core_types::Id<SshKeyKind>;

/// A key as a project has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    id: SshKeyId,
    project: Scope,
    name: KeyName,
    key: PublicKey,
    // INVARIANT: both are of `key`.
    fingerprint: Fingerprint,
    material: Fingerprint,
    comment: Option<Comment>,
    added_by: Subject,
    added_at: UnixTime,
    expires_at: Option<UnixTime>,
    removed: Option<Removal>,
}

/// Who removed a key, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Who.
    pub by: Subject,
    /// When.
    pub at: UnixTime,
}

impl SshKey {
    /// A live key.
    fn live(id: SshKeyId, new: NewKey, at: UnixTime) -> Self {
        let NewKey { project, name, key, comment, added_by, expires_at } = new;
        let key = key.into_key();
        let (fingerprint, material) = (key.fingerprint(), material_digest(&key));
        Self {
            id,
            project,
            name,
            key,
            fingerprint,
            material,
            comment,
            added_by,
            added_at: at,
            expires_at,
            removed: None,
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> SshKeyId {
        self.id
    }

    /// The project it belongs to.
    #[must_use]
    pub const fn project(&self) -> &Scope {
        &self.project
    }

    /// Its name within the project.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key's SHA-256 fingerprint.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// What the customer wrote after the key: a label to show.
    #[must_use]
    pub const fn comment(&self) -> Option<&Comment> {
        self.comment.as_ref()
    }

    /// Who added it.
    #[must_use]
    pub const fn added_by(&self) -> Subject {
        self.added_by
    }

    /// When it was added.
    #[must_use]
    pub const fn added_at(&self) -> UnixTime {
        self.added_at
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// Who removed it and when; `None` while it is live.
    #[must_use]
    pub const fn removed(&self) -> Option<Removal> {
        self.removed
    }

    fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}
