//! The audit log's proofs: signed and published beside it, so that strangers can check it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_log::AuditLog;
use audit_log::tlog::{
    Ed25519Signer, PROOFS, Progress, ProveError, Prover, PublishError, Publisher, Signer as _, StoreError,
    SystemTiles,
};
use core_types::{Scope, SecretBytes, SecureRandom};

use super::api_error::ApiError;
use super::startup::StartError;
use crate::files::write_durably;

/// Publishes into the folder `proofs` of the log's own.
pub(crate) struct Proofs {
    log: AuditLog,
    folder: PathBuf,
    seed: SecretBytes<32>,
    // None before the first step, and when it could not go on.
    publisher: Mutex<Option<Publisher>>,
}

impl Proofs {
    /// Reads the signing key from `key_file`, or makes it where nothing was signed yet.
    pub(crate) fn open(
        log: AuditLog,
        log_folder: &Path,
        key_file: &Path,
        random: &dyn SecureRandom,
    ) -> Result<Arc<Self>, StartError> {
        let folder = log_folder.join(PROOFS);
        let seed = seed(key_file, folder.exists(), random)?;
        Ok(Arc::new(Self { log, folder, seed, publisher: Mutex::default() }))
    }

    /// Publishes now and then, for as long as the server runs.
    pub(crate) async fn keep_publishing(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PUBLISH_PAUSE).await;
            self.publish().await;
        }
    }

    /// Publishes what the log has. Nothing waits for it: where it fails, the log and the server go on, and the
    /// operator is told.
    pub(crate) async fn publish(self: &Arc<Self>) {
        let proofs = Arc::clone(self);
        let published = tokio::task::spawn_blocking(move || proofs.publish_blocking()).await;
        match published {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the audit log's proofs could not be published"),
            Err(error) => tracing::error!(%error, "publishing the audit log's proofs did not return"),
        }
    }

    /// The receipt of a record: published first, where it is newer than what was.
    pub(crate) async fn receipt(self: &Arc<Self>, tenant: Scope, sequence: u64) -> Result<String, ApiError> {
        let proofs = Arc::clone(self);
        let proven = tokio::task::spawn_blocking(move || match proofs.prove(&tenant, sequence) {
            Err(ReceiptError::Prove(ProveError::NotPublished)) => {
                proofs.publish_blocking()?;
                proofs.prove(&tenant, sequence)
            }
            proven => proven,
        });
        proven.await.map_err(|_| ApiError::internal())?.map_err(|error| {
            tracing::error!(%error, sequence, "a record could not be proven");
            ApiError::unavailable("the proof is not there")
        })
    }

    fn prove(&self, tenant: &Scope, sequence: u64) -> Result<String, ReceiptError> {
        let signer = Ed25519Signer::from_seed(KEY_NAME, &self.seed).map_err(ProofsError::from)?;
        let tiles = SystemTiles::open(&self.folder).map_err(|_| ProveError::NotPublished)?;
        let mut prover = Prover::new(Arc::new(tiles), signer.verifier().clone());
        Ok(prover.prove(tenant, sequence)?.to_string())
    }

    fn publish_blocking(&self) -> Result<Progress, ProofsError> {
        let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *publisher {
            Some(publisher) => Ok(publisher.catch_up()?),
            none => {
                let signer = Ed25519Signer::from_seed(KEY_NAME, &self.seed)?;
                let new = Publisher::new(self.log.clone(), SystemTiles::create(&self.folder)?, signer)?;
                Ok(none.insert(new).catch_up()?)
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReceiptError {
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error(transparent)]
    Publish(#[from] ProofsError),
}

#[derive(Debug, thiserror::Error)]
enum ProofsError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] audit_log::tlog::NoteError),
}

/// The seed of the signing key. One that is gone while there is something it has signed is not made anew: nobody
/// who knows the old key would believe the new one.
fn seed(file: &Path, is_in_use: bool, random: &dyn SecureRandom) -> Result<SecretBytes<32>, StartError> {
    let what = file.display().to_string();
    match File::open(file) {
        Ok(mut open) => {
            let mode = open.metadata().map_err(StartError::io(&*what))?.permissions().mode();
            if mode & 0o077 != 0 {
                let message = format!("{what} is open to others (mode {:o}): make it 0600", mode & 0o777);
                return Err(StartError::Part { what: "signing key", message });
            }
            SecretBytes::filled_by(|bytes: &mut [u8; 32]| open.read_exact(bytes))
                .map_err(StartError::io(&*what))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_in_use => {
            let seed = Ed25519Signer::generate_seed(random).map_err(StartError::part("signing key"))?;
            write_durably(file, seed.expose_secret()).map_err(StartError::io(&*what))?;
            Ok(seed)
        }
        Err(error) => Err(StartError::Io { what, error }),
    }
}

const KEY_NAME: &str = "palisade/audit";
const PUBLISH_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use core_types::SystemRandom;
    use std::fs;

    use super::*;

    #[test]
    fn a_signing_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit-key");
        let random = SystemRandom::new();
        assert!(seed(&file, true, &random).is_err(), "what it has signed is there, and it is not");
        let made = seed(&file, false, &random).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(made.expose_secret(), seed(&file, true, &random).unwrap().expose_secret());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(seed(&file, true, &random).is_err());
    }
}
