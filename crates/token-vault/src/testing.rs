//! A vault on a memory store, with a clock one can move; for tests of this crate and of embedders.

use std::time::Duration;

use core_types::testing::{TestClock, TestRandom};
use core_types::{Clock, Grant, Restriction, Scope, SecureRandom, Subject, TokenId, UnixTime, UserId};
use state_store::replica::Driver;
use state_store::{Batch, Commit, MemoryStore, Replica, Revision, StateStore};

use crate::format::{BODY_LEN, Prefix, TokenFormat, base62};
use crate::pepper::{Pepper, PepperVersion, Peppers};
use crate::vault::{IssueRequest, Issued, OwnerStatus, Standing, Vault, VerifyContext};
use crate::view::TokenView;

/// How long after its last confirmation a fixture's replica may be used.
pub const STALENESS_BOUND: Duration = Duration::from_secs(1 << 40);

/// The instant at which a fixture's clock begins.
pub const START: UnixTime = UnixTime::from_secs(1_700_000_000);

/// A vault, its store, and what drives them. Everything in it panics when it fails: it is a test's.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fixture {
    /// The store, which other vaults may share.
    pub store: MemoryStore,
    /// The vault.
    pub vault: Vault,
    /// Brings the vault's replica up to date.
    pub driver: Driver<MemoryStore, TokenView>,
    /// The clock.
    pub clock: TestClock,
    /// The randomness.
    pub random: TestRandom,
}

#[expect(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc, reason = "fixtures of tests")]
impl Fixture {
    /// A vault with nothing in it.
    pub async fn new() -> Self {
        Self::on(MemoryStore::new(), STALENESS_BOUND, EveryoneActive).await
    }

    /// Another vault on a store.
    pub async fn on(store: MemoryStore, bound: Duration, owners: impl OwnerStatus + 'static) -> Self {
        let clock = TestClock::at(START);
        let random = TestRandom::seeded(7);
        let prefix = TokenView::prefix().unwrap();
        let (replica, driver) =
            Replica::open(store.clone(), prefix, TokenView::new(), bound, &clock).await.unwrap();
        let vault = Vault::builder(replica, format(), Peppers::new(&pepper(1))).with_owners(owners).build();
        Self { store, vault, driver, clock, random }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The present, from nowhere known.
    #[must_use]
    pub fn context(&self) -> VerifyContext {
        VerifyContext::at(self.now())
    }

    /// Commits, and brings the vault up to date.
    pub async fn commit(&mut self, batch: Batch) -> Revision {
        match self.store.commit(batch).await.unwrap() {
            Commit::Committed(revision) => {
                self.catch_up().await;
                revision
            }
            Commit::Conflict(key) => panic!("conflict on {key:?}"),
        }
    }

    /// Brings the vault up to date.
    pub async fn catch_up(&mut self) {
        let head = self.store.scan(&state_store::Prefix::all(), None, 0).await.unwrap().revision;
        while self.vault.replica().snapshot().revision() < head {
            self.driver.step().await.unwrap();
        }
    }

    /// Issues, commits, and returns plaintext and id.
    pub async fn issue(&mut self, request: IssueRequest<'_>) -> (String, TokenId) {
        let Issued { token, info, batch, .. } =
            self.vault.plan_issue(request, self.clock.now(), &self.random).unwrap();
        self.commit(batch).await;
        (token.expose_once(str::to_owned), info.id)
    }

    /// A plain token of a new owner.
    pub async fn issue_plain(&mut self) -> (String, TokenId) {
        let request = request(owner(&self.random));
        self.issue(request).await
    }
}

/// The fixtures' kinds: `plsdtestpat` and `plsdtestkey`.
#[must_use]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "constants")]
pub fn format() -> TokenFormat {
    TokenFormat::new([kind(), "plsdtestkey".parse().unwrap()]).unwrap()
}

/// The first of the fixtures' kinds.
#[must_use]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a constant")]
pub fn kind() -> Prefix {
    "plsdtestpat".parse().unwrap()
}

/// A pepper whose key follows from its version.
#[must_use]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fixture of tests")]
pub fn pepper(version: u32) -> Pepper {
    let random = TestRandom::seeded(u64::from(version));
    Pepper::generate(PepperVersion::new(version.try_into().unwrap()), &random).unwrap()
}

/// A new owner.
#[must_use]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fixture of tests")]
pub fn owner(rng: &dyn SecureRandom) -> Subject {
    Subject::User(UserId::generate(START, rng).unwrap())
}

/// A request for a token that may read and write apps in `project/web`.
#[must_use]
pub fn request(owner: Subject) -> IssueRequest<'static> {
    IssueRequest::new("ci-deploy", kind(), owner, restriction("apps:*", "project/web"))
}

/// One grant.
#[must_use]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fixture of tests")]
pub fn restriction(permissions: &str, scope: &str) -> Restriction {
    let scope: Scope = scope.parse().unwrap();
    Restriction::only([Grant::new(permissions.parse().unwrap(), scope)]).unwrap()
}

/// Every owner is active.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a fixture of tests")]
pub struct EveryoneActive;

impl OwnerStatus for EveryoneActive {
    fn standing(&self, _owner: Subject) -> Standing {
        Standing::Active
    }
}

/// A text before its checksum, with the checksum that fits: what anyone can make who knows the format.
#[must_use]
pub fn with_checksum(text: &str) -> String {
    let body = text.get(text.len().saturating_sub(BODY_LEN)..).unwrap_or("");
    let checksum = base62::encode_u32(crc32fast::hash(body.as_bytes()));
    text.chars().chain(checksum.iter().map(|&digit| char::from(digit))).collect()
}

/// Looks a token up and reads what lies at the end of the way, for benches to compare with.
#[must_use]
pub fn touch(view: &TokenView, id: TokenId) -> u64 {
    view.token(id).map_or(0, |entry| u64::from(entry.digest.as_bytes()[0]))
}
