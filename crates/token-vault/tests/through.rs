//! What a vault says whose replica hears nothing more, while the store answers.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails or overflows is a test that fails"
)]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use core_types::{Limit, Principal, UnixTime};
use pollster::block_on;
use state_store::feed::FeedWatch;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MemoryStore, Page, Prefix, ReadError, Replica, Revision,
    StateStore, Watch, WatchEvent,
};
use token_vault::testing::{Fixture, format, owner, pepper, request};
use token_vault::vault::Many;
use token_vault::{CountError, Peppers, RefusalReason, RevocationReason, TokenView, Vault, VerifyContext};

/// A store whose watches can be cut, and which can fail.
#[derive(Clone, Default)]
struct Cut {
    store: MemoryStore,
    is_cut: Arc<AtomicBool>,
    is_down: Arc<AtomicBool>,
}

struct CutWatch {
    store: Cut,
    inner: FeedWatch,
}

impl Watch for CutWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        if self.store.is_cut.load(Ordering::Relaxed) {
            std::future::pending().await
        } else {
            self.inner.next().await
        }
    }
}

impl StateStore for Cut {
    type Watch = CutWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        self.answer()?;
        self.store.get(key).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        self.answer()?;
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        self.store.commit(batch).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<CutWatch, ReadError> {
        self.answer()?;
        Ok(CutWatch { store: self.clone(), inner: self.store.watch(prefix, after).await? })
    }
}

impl Cut {
    fn answer(&self) -> Result<(), ReadError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(ReadError::Unavailable { detail: "told to".into() });
        }
        Ok(())
    }
}

const BOUND: Duration = Duration::from_secs(5);

/// Two vaults on the store of a fixture, which hear nothing of what it does from now on: one refuses, one reads.
fn vaults(fixture: &Fixture, store: &Cut) -> (Vault, Vault) {
    let prefix = TokenView::prefix().unwrap();
    let opened = block_on(Replica::open(store.clone(), prefix, TokenView::new(), BOUND, &fixture.clock));
    let (replica, _driver) = opened.unwrap();
    store.is_cut.store(true, Ordering::Relaxed);
    let reading = replica.clone().reading_through(store.clone(), BOUND, |_| ready(()));
    let vault = |replica| Vault::new(replica, format(), Peppers::new(&pepper(1)));
    (vault(replica), vault(reading))
}

fn cut(fixture: &Fixture) -> Cut {
    Cut { store: fixture.store.clone(), ..Cut::default() }
}

fn later(fixture: &Fixture) -> VerifyContext {
    VerifyContext::at(UnixTime::from_millis(fixture.now().as_millis() + 6_000))
}

fn stale(outcome: Result<token_vault::VerifiedToken, token_vault::Refusal>) {
    assert_eq!(outcome.unwrap_err().reason(), RefusalReason::Stale);
}

#[test]
fn a_revocation_that_no_watch_told_of_is_in_force_at_once() {
    let mut fixture = block_on(Fixture::new());
    let (token, id) = block_on(fixture.issue_plain());
    let (other, _) = block_on(fixture.issue_plain());
    let by = Principal::subject(owner(&fixture.random));
    let store = cut(&fixture);
    let (refusing, reading) = vaults(&fixture, &store);
    let context = later(&fixture);
    assert_eq!(block_on(reading.verify_current(&token, &context)).unwrap().id(), id);
    let reason = RevocationReason::Administrative;
    let receipt = block_on(fixture.vault.revoke(&store, id, by, reason, fixture.now())).unwrap();

    // What is fresh is answered from memory, for as long as the bound, and no longer.
    let verified = block_on(reading.verify_current(&token, &fixture.context())).unwrap();
    assert!(verified.revision() < receipt.revision());
    let refusal = block_on(reading.verify_current(&token, &context)).unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::Revoked);
    let refusal = block_on(reading.verify_counted(&store, &token, &context)).unwrap_err();
    assert!(matches!(refusal, CountError::Refused(refusal) if refusal.reason() == RefusalReason::Revoked));
    let verified = block_on(reading.verify_current(&other, &context)).unwrap();
    assert!(verified.revision() >= receipt.revision());

    for token in [&token, &other] {
        stale(block_on(refusing.verify_current(token, &context)));
        stale(reading.verify(token, &context));
    }
    store.is_down.store(true, Ordering::Relaxed);
    stale(block_on(reading.verify_current(&other, &context)));
}

#[test]
fn a_revocation_of_many_is_in_force_and_what_was_issued_since_is_good() {
    let mut fixture = block_on(Fixture::new());
    let owner = owner(&fixture.random);
    let (token, _) = block_on(fixture.issue(request(owner)));
    let store = cut(&fixture);
    let (_, reading) = vaults(&fixture, &store);
    let context = later(&fixture);
    let (since, _) = block_on(fixture.issue_plain());
    assert!(block_on(reading.verify_current(&since, &context)).is_ok());
    let (by, reason) = (Principal::subject(owner), RevocationReason::Administrative);
    let many = Many::OwnedBy(owner);
    let now = fixture.now();
    let revoked = fixture.vault.revoke_many(&store, &many, Limit::Unlimited, by, reason, now);
    let _ = block_on(revoked).unwrap();
    let refusal = block_on(reading.verify_current(&token, &context)).unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::OwnerRevoked);
    assert!(block_on(reading.verify_current(&since, &context)).is_ok());
}

#[test]
fn a_use_that_is_counted_is_counted_of_what_was_read() {
    let mut fixture = block_on(Fixture::new());
    let wish = request(owner(&fixture.random)).limited_to_uses(1);
    let (token, _) = block_on(fixture.issue(wish));
    let store = cut(&fixture);
    let (_, reading) = vaults(&fixture, &store);
    let context = later(&fixture);
    let refusal = block_on(reading.verify_current(&token, &context)).unwrap_err();
    assert_eq!(refusal.reason(), RefusalReason::NotCounted);
    assert!(block_on(reading.verify_counted(&store, &token, &context)).is_ok());
    let refusal = block_on(reading.verify_counted(&store, &token, &context)).unwrap_err();
    assert!(matches!(refusal, CountError::Refused(refusal) if refusal.reason() == RefusalReason::UsedUp));
}
