//! Verifying where the replica is too old: by the store itself, if the vault was told to.

use core_types::Limit;
use state_store::replica::WhenStale;

use super::{Vault, VerifyContext};
use crate::error::{Refusal, RefusalReason as Reason};
use crate::service::{ServiceVerifier, VerifiedServiceToken};
use crate::verified::VerifiedToken;

impl Vault {
    /// As [`verify`](Self::verify), and without waiting where the replica is fresh. Where it is not, and the vault's
    /// handle on it [reads through](state_store::Replica::reading_through), by a state of the store that has every
    /// change which was committed before the call; what cannot be read in time is refused as stale.
    ///
    /// An owner's standing is as [`OwnerStatus`](super::OwnerStatus) says: whoever answers there must be current too.
    ///
    /// # Errors
    /// [`Refusal`]. Tell the remote side nothing but that.
    pub async fn verify_current(
        &self,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, Refusal> {
        self.verify_current_uncounted(presented, context).await.and_then(without_counting)
    }

    /// As [`verify_service`](Self::verify_service), in the way of [`verify_current`](Self::verify_current).
    ///
    /// # Errors
    /// [`Refusal`]. Tell the remote side nothing but that.
    pub async fn verify_service_current(
        &self,
        verifier: &ServiceVerifier,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedServiceToken, Refusal> {
        match self.verify_service(verifier, presented, context) {
            Err(refusal) if self.reads_through(&refusal) => {
                let reading = self.shared.replica.read(context.now()).await.map_err(|_| refusal)?;
                self.check_service(verifier, presented, context, &reading)
            }
            outcome => outcome,
        }
    }

    /// As [`verify_current`](Self::verify_current), but for the counting of uses, which is the caller's.
    pub(super) async fn verify_current_uncounted(
        &self,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, Refusal> {
        match self.verify_uncounted(presented, context) {
            Err(refusal) if self.reads_through(&refusal) => {
                let reading = self.shared.replica.read(context.now()).await.map_err(|_| refusal)?;
                self.verify_by(presented, context, || Ok(&*reading))
            }
            outcome => outcome,
        }
    }

    /// Whether the store may say otherwise.
    fn reads_through(&self, refusal: &Refusal) -> bool {
        refusal.reason() == Reason::Stale && self.shared.replica.when_stale() != WhenStale::Refuse
    }
}

/// That the use of this token need not be counted.
#[inline]
pub(super) fn without_counting(verified: VerifiedToken) -> Result<VerifiedToken, Refusal> {
    match verified.entry().extra() {
        Some(extra) if extra.uses != Limit::Unlimited => Err(Refusal::of(Reason::NotCounted, verified.id())),
        _ => Ok(verified),
    }
}
