use core::future::Future;

use state_store::StateStore;
use token_vault::{CountError, Vault, VerifiedToken, VerifyContext};

/// How tokens that are limited in uses are verified.
pub trait CountUses: Clone + Send + Sync + 'static {
    /// Verifies what was presented.
    fn verify(
        &self,
        vault: &Vault,
        presented: &str,
        context: &VerifyContext,
    ) -> impl Future<Output = Result<VerifiedToken, CountError>> + Send;
}

/// Tokens that are limited in uses are refused; all others are verified without waiting.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Uncounted;

impl Uncounted {
    pub(crate) const fn new() -> Self {
        Self
    }
}

impl CountUses for Uncounted {
    async fn verify(
        &self,
        vault: &Vault,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, CountError> {
        Ok(vault.verify(presented, context)?)
    }
}

/// Uses of tokens that are limited in them are counted in this store.
#[derive(Debug, Clone)]
pub struct Counting<S> {
    store: S,
}

impl<S> Counting<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: StateStore> CountUses for Counting<S> {
    async fn verify(
        &self,
        vault: &Vault,
        presented: &str,
        context: &VerifyContext,
    ) -> Result<VerifiedToken, CountError> {
        vault.verify_counted(&self.store, presented, context).await
    }
}
