//! Where the store fails, what cannot be proved is refused, and nothing is forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use core_types::{Limit, Principal};
use pollster::block_on;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, MemoryStore, Page, Prefix, ReadError, Revision, StateStore,
};
use token_vault::testing::{Fixture, START, owner, request};
use token_vault::vault::Many;
use token_vault::{CountError, FlushError, RefusalReason, RevocationReason, RevokeError};

/// A store that fails as it is told.
#[derive(Clone)]
struct Failing {
    store: MemoryStore,
    fault: Arc<AtomicU8>,
}

const NONE: u8 = 0;
const READS: u8 = 1;
const COMMITS: u8 = 2;
const ANSWERS: u8 = 3;

impl Failing {
    fn is(&self, fault: u8) -> bool {
        self.fault.load(Ordering::Relaxed) == fault
    }
}

impl StateStore for Failing {
    type Watch = <MemoryStore as StateStore>::Watch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        if self.is(READS) {
            return Err(ReadError::Unavailable { detail: "told to".into() });
        }
        self.store.get(key).await
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        if self.is(READS) {
            return Err(ReadError::Unavailable { detail: "told to".into() });
        }
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        if self.is(COMMITS) {
            return Err(CommitError::Unavailable { detail: "told to".into() });
        }
        let outcome = self.store.commit(batch).await;
        // Done, but nobody hears of it.
        if self.is(ANSWERS) { Err(CommitError::OutcomeUnknown { detail: "told to".into() }) } else { outcome }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Self::Watch, ReadError> {
        self.store.watch(prefix, after).await
    }
}

#[test]
fn a_use_that_cannot_be_counted_is_not_granted_and_is_not_granted_twice() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).limited_to_uses(2);
        let (token, _) = fixture.issue(wish).await;
        let store = failing(&fixture);
        for fault in [READS, COMMITS] {
            store.fault.store(fault, Ordering::Relaxed);
            let outcome = fixture.vault.verify_counted(&store, &token, &fixture.context()).await;
            assert_eq!(outcome.unwrap_err(), CountError::Store);
        }
        // Counted, but refused: one use less, never one more.
        store.fault.store(ANSWERS, Ordering::Relaxed);
        let outcome = fixture.vault.verify_counted(&store, &token, &fixture.context()).await;
        assert_eq!(outcome.unwrap_err(), CountError::Store);
        store.fault.store(NONE, Ordering::Relaxed);
        assert!(fixture.vault.verify_counted(&store, &token, &fixture.context()).await.is_ok());
        let outcome = fixture.vault.verify_counted(&store, &token, &fixture.context()).await;
        let Err(CountError::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refusal.reason(), RefusalReason::UsedUp);
    });
}

#[test]
fn usage_that_was_not_written_is_kept() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let store = failing(&fixture);
        fixture.vault.verify(&token, &fixture.context()).unwrap();
        store.fault.store(COMMITS, Ordering::Relaxed);
        let outcome = fixture.vault.flush_usage(&store, Duration::ZERO, START).await;
        assert!(matches!(outcome, Err(FlushError::Commit(_))));
        fixture.vault.verify(&token, &fixture.context()).unwrap();
        store.fault.store(NONE, Ordering::Relaxed);
        let flushed = fixture.vault.flush_usage(&store, Duration::ZERO, START).await.unwrap();
        assert_eq!((flushed.written, flushed.pending, flushed.lost), (1, 0, 0));
        fixture.catch_up().await;
        assert_eq!(fixture.vault.get(id).unwrap().uses, 2);
    });
}

#[test]
fn a_revocation_of_which_nobody_knows_whether_it_happened_says_so_and_can_be_repeated() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (token, id) = fixture.issue_plain().await;
        let store = failing(&fixture);
        let reason = RevocationReason::Leaked;
        for fault in [READS, COMMITS, ANSWERS] {
            store.fault.store(fault, Ordering::Relaxed);
            let outcome = fixture.vault.revoke(&store, id, by, reason, START).await;
            assert_eq!(outcome.unwrap_err(), RevokeError::Unavailable);
            if fault != READS {
                let many = fixture.vault.revoke_many(&store, &Many::All, Limit::Unlimited, by, reason, START);
                assert_eq!(many.await.unwrap_err(), RevokeError::Unavailable);
            }
        }
        store.fault.store(NONE, Ordering::Relaxed);
        let receipt = fixture.vault.revoke(&store, id, by, reason, START).await.unwrap();
        fixture.catch_up().await;
        fixture.vault.await_applied(receipt).await;
        assert_eq!(
            fixture.vault.verify(&token, &fixture.context()).unwrap_err().reason(),
            RefusalReason::Revoked
        );
    });
}

fn failing(fixture: &Fixture) -> Failing {
    Failing { store: fixture.store.clone(), fault: Arc::new(AtomicU8::new(NONE)) }
}
