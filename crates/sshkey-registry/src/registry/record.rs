use core_types::{Scope, Subject, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::{Record, RecordError};

use super::{Removal, SshKey, SshKeyId};
use crate::admission::material_digest;
use crate::key::PublicKey;
use crate::name::{Comment, KeyName};

/// A key, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRecord {
    id: SshKeyId,
    project: Scope,
    name: String,
    /// Type and base64, as in a line.
    public_key: String,
    #[serde(deserialize_with = "present")]
    comment: Option<String>,
    added_by: Subject,
    added_at: UnixTime,
    #[serde(deserialize_with = "present")]
    expires_at: Option<UnixTime>,
    /// Never left out: a record must say that its key is live.
    #[serde(deserialize_with = "present")]
    removed: Option<RemovalRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemovalRecord {
    by: Subject,
    at: UnixTime,
}

impl Record for KeyRecord {
    const KIND: &'static str = "sshkey-registry/key";
    const VERSION: u32 = 1;
}

/// Which key an index entry stands for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexRecord {
    pub(super) id: SshKeyId,
}

impl Record for IndexRecord {
    const KIND: &'static str = "sshkey-registry/index";
    const VERSION: u32 = 1;
}

impl KeyRecord {
    pub(super) fn of(key: &SshKey) -> Self {
        Self {
            id: key.id,
            project: key.project.clone(),
            name: key.name.as_str().into(),
            public_key: key.key.to_string(),
            comment: key.comment.as_ref().map(|comment| comment.as_str().into()),
            added_by: key.added_by,
            added_at: key.added_at,
            expires_at: key.expires_at,
            removed: key.removed.map(|Removal { by, at }| RemovalRecord { by, at }),
        }
    }

    pub(super) fn into_key(self) -> Result<SshKey, RecordError> {
        let comment = self.comment.as_deref().map(Comment::parse).transpose();
        let key = PublicKey::parse(&self.public_key).map_err(|_| inconsistent("its key is none"))?;
        Ok(SshKey {
            id: self.id,
            project: self.project,
            name: KeyName::parse(&self.name).map_err(|_| inconsistent("its name is none"))?,
            fingerprint: key.fingerprint(),
            material: material_digest(&key),
            key,
            comment: comment.map_err(|_| inconsistent("its comment is none"))?,
            added_by: self.added_by,
            added_at: self.added_at,
            expires_at: self.expires_at,
            removed: self.removed.map(|RemovalRecord { by, at }| Removal { by, at }),
        })
    }
}

pub(super) const fn inconsistent(what: &'static str) -> RecordError {
    RecordError::Inconsistent { kind: KeyRecord::KIND, what }
}

/// serde reads a missing `Option` as `None`, unless it is told how to read it.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer)
}
