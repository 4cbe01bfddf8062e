use std::sync::Arc;

use core_types::{Fingerprint, Subject, UnixTime};
use state_store::{Batch, record};

use super::plan::Planned;
use super::view::{RegistryView, Usage};
use super::vm_record::CompromiseRecord;
use super::{SshKey, layout};
use crate::error::RevokeError;

/// What a revocation takes out of use: the events to record, and the machines that need a new bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// The fingerprint that was revoked.
    pub fingerprint: Fingerprint,
    /// Every live key with this fingerprint or the same private half, in every project, with its machines.
    pub keys: Vec<Usage>,
}

/// Revokes a key everywhere, for operators: its private half is known to others.
///
/// One record says so for every project at once, however many have the key; none can add it again. A key of the same
/// RSA modulus with another exponent, or of the same point on a security key, has the same private half and goes
/// with it. Guards of last keys do not apply.
///
/// # Errors
/// [`RevokeError`].
pub fn plan_revoke_everywhere(
    view: &RegistryView,
    fingerprint: Fingerprint,
    by: Subject,
    now: UnixTime,
) -> Result<Planned<Revoked>, RevokeError> {
    if view.is_fingerprint_revoked(&fingerprint) {
        return Err(RevokeError::AlreadyRevoked);
    }
    let material = view.where_used(&fingerprint).next().map(|usage| usage.key.material);
    let keys = match material {
        Some(material) => view.where_material_used(&material).collect(),
        None => Vec::new(),
    };
    let compromise = CompromiseRecord { fingerprint, material, by, at: now };
    let mut batch = Batch::new();
    let at = layout::compromised(&fingerprint).map_err(state_store::BatchError::from)?;
    batch.create(at, record::encode(&compromise)?)?;
    Ok(Planned { value: Revoked { fingerprint, keys }, batch })
}

impl Usage {
    pub(super) fn of(view: &RegistryView, key: &Arc<SshKey>) -> Self {
        let vms = view.vms_with(&key.project, key.id).map(|entry| Arc::clone(&entry.vm)).collect();
        Self { key: Arc::clone(key), vms }
    }
}
