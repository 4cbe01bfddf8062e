use core_types::{Principal, UnixTime};
use state_store::replica::Snapshot;
use state_store::{Batch, BatchError, Key, Write, record};

use super::{ManyRevoked, Standing, Vault, VerifyContext};
use crate::error::{PlanError, Refusal, RefusalReason as Reason};
use crate::event::TokenEvent;
use crate::record::{Cause, RevocationReason, SERVICE_KEY, SERVICE_TOKEN, ServiceRevocationRecord};
use crate::service::{Name, OpenedParts, ServiceVerifier, VerifiedServiceToken};
use crate::view::TokenView;

impl Vault {
    /// Whether `presented` is a signed token that `verifier` accepts and nobody has revoked.
    ///
    /// It is dead when its `jti` or its key was revoked, when all tokens of its subject, or all there are, were
    /// revoked after it was signed (by the clocks: a signed token knows no epoch), or its subject is inactive.
    ///
    /// # Errors
    /// [`Refusal`]. Tell the remote side nothing but that.
    pub fn verify_service(
        &self,
        verifier: &ServiceVerifier,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedServiceToken, Refusal> {
        let current = self.current(context)?;
        self.check_service(verifier, presented, context, &current)
    }

    /// By this state.
    pub(super) fn check_service(
        &self,
        verifier: &ServiceVerifier,
        presented: &str,
        context: &VerifyContext,
        state: &Snapshot<TokenView>,
    ) -> Result<VerifiedServiceToken, Refusal> {
        let opened = verifier.open(presented, context.now()).map_err(Refusal::new)?;
        let view = state.view();
        if view.markers().is_damaged() {
            return Err(Refusal::new(Reason::Damaged));
        }
        if view.is_service_token_revoked(opened.id.as_str())
            || view.is_service_key_revoked(opened.key.as_str())
        {
            return Err(Refusal::new(Reason::Revoked));
        }
        if view.markers().kills_signed(opened.subject, opened.issued_at) {
            return Err(Refusal::new(Reason::OwnerRevoked));
        }
        if self.shared.owners.standing(opened.subject) == Standing::Inactive {
            return Err(Refusal::new(Reason::Owner));
        }
        let parts = OpenedParts { id: opened.id, subject: opened.subject, restriction: opened.restriction };
        Ok(VerifiedServiceToken { opened: Box::new(parts), revision: state.revision() })
    }

    /// Revokes a signed token by its `jti`. `expires_at` is its end, after which the tombstone may go.
    ///
    /// # Errors
    /// [`PlanError::Record`], [`PlanError::Batch`].
    pub fn plan_revoke_service_token(
        &self,
        id: &Name,
        expires_at: UnixTime,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<ManyRevoked, PlanError> {
        let event = TokenEvent::ServiceTokenRevoked { jti: id.as_str().into(), by, reason, at: now };
        let record =
            ServiceRevocationRecord { until: Some(expires_at), cause: Cause { at: now, by, reason } };
        tombstone(format!("{SERVICE_TOKEN}{id}"), &record, event)
    }

    /// Revokes a key, and with it all it signed, for ever.
    ///
    /// # Errors
    /// [`PlanError::Record`], [`PlanError::Batch`].
    pub fn plan_revoke_service_key(
        &self,
        id: &Name,
        by: Principal,
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<ManyRevoked, PlanError> {
        let event = TokenEvent::ServiceKeyRevoked { kid: id.as_str().into(), by, reason, at: now };
        let record = ServiceRevocationRecord { until: None, cause: Cause { at: now, by, reason } };
        tombstone(format!("{SERVICE_KEY}{id}"), &record, event)
    }
}

/// Written whatever is there: revoked twice is revoked.
fn tombstone(
    key: String,
    record: &ServiceRevocationRecord,
    event: TokenEvent,
) -> Result<ManyRevoked, PlanError> {
    let mut batch = Batch::new();
    batch.write(Key::new(key).map_err(BatchError::from)?, Write::Put(record::encode(record)?))?;
    Ok(ManyRevoked { batch, event })
}
