//! The keys of projects: records, indexes, and the steps that change them.
//!
//! A step ([`plan_add`], [`plan_remove`]) looks at a [`RegistryView`] and returns a [`Planned`] batch for the
//! embedder to commit, alone or together with other concerns' batches. The batch expects what the step saw, so that of
//! two steps that collide one gets a conflict from the store, and plans again on a newer view.
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

mod layout;
mod plan;
mod record;
mod view;

use core_types::{Scope, Subject, UnixTime};

pub use self::layout::PREFIX;
pub use self::plan::{Added, NewKey, Planned, plan_add, plan_remove};
pub use self::view::RegistryView;
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
    comment: Option<Comment>,
    added_by: Subject,
    added_at: UnixTime,
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

    /// Who removed it and when; `None` while it is live.
    #[must_use]
    pub const fn removed(&self) -> Option<Removal> {
        self.removed
    }
}
