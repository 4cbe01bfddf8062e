//! A million tokens.

use std::time::{Duration, Instant};

use core_types::{Grant, Restriction, SecureRandom, Subject, SystemRandom, TokenId, UserId};
use pollster::block_on;
use state_store::replica::View;
use state_store::{Commit, MemoryStore, Replica, Revision, StateStore};
use token_vault::testing::{START, format, kind, pepper};
use token_vault::{IssueRequest, Peppers, TokenView, Vault};

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) vault: Vault,
    pub(crate) driver: std::sync::Mutex<state_store::replica::Driver<MemoryStore, TokenView>>,
    pub(crate) tokens: Vec<String>,
    pub(crate) ids: Vec<TokenId>,
}

impl World {
    /// Issues tokens for a quarter as many owners, with a thousand different restrictions.
    pub(crate) fn new(count: usize) -> Self {
        let random = SystemRandom::new();
        let store = MemoryStore::new();
        let clock = core_types::testing::TestClock::at(START);
        let bound = Duration::from_secs(1 << 40);
        let prefix = TokenView::prefix().unwrap();
        let open = || Replica::open(store.clone(), prefix.clone(), TokenView::new(), bound, &clock);
        let (replica, driver) = block_on(open()).unwrap();
        drop(driver);
        let issuer = Vault::new(replica, format(), Peppers::new(&pepper(1)));
        let owners: Vec<Subject> = (0..count.div_ceil(4))
            .map(|_| Subject::User(UserId::generate(START, &random).unwrap()))
            .collect();
        let (mut tokens, mut ids) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut together = state_store::Batch::new();
        let before_issue = Instant::now();
        for number in 0..count {
            let scope = format!("org/acme/project/p{}", number % 1000).parse().unwrap();
            let restriction = Restriction::only([Grant::new("apps:*".parse().unwrap(), scope)]).unwrap();
            let end = START.saturating_add(Duration::from_secs(86_400 + number as u64));
            let wish = IssueRequest::new(
                format!("deploy-{number}"),
                kind(),
                owners[number / 4],
                restriction.expiring(end),
            );
            let issued = issuer.plan_issue(wish, START, &random).unwrap();
            tokens.push(issued.token.expose_once(str::to_owned));
            ids.push(issued.info.id);
            together.append(issued.batch).unwrap();
            if together.writes().count() == 256 || number + 1 == count {
                let batch = std::mem::take(&mut together);
                assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
            }
        }
        println!("issue and commit to memory: {:?} each", before_issue.elapsed() / count as u32);
        println!("memory: {} bytes per token in the index", index_bytes(&store, count));
        let (replica, driver) = block_on(open()).unwrap();
        let vault = Vault::new(replica, format(), Peppers::new(&pepper(1)));
        // In another order than they lie in memory.
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut order, &random);
        let tokens = order.iter().map(|&at| tokens[at].clone()).collect();
        let ids = order.iter().map(|&at| ids[at]).collect();
        Self { store, vault, driver: std::sync::Mutex::new(driver), tokens, ids }
    }
}

/// What the resident set grows by when a view is filled, with nothing else kept.
fn index_bytes(store: &MemoryStore, count: usize) -> usize {
    let prefix = TokenView::prefix().unwrap();
    let before = resident();
    let mut view = TokenView::new();
    view.loading();
    let mut after = None;
    loop {
        let page = block_on(store.scan(&prefix, after.as_ref(), 1000)).unwrap();
        for entry in &page.entries {
            view.put(&entry.key, &entry.value, Revision::new(1)).unwrap();
        }
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    view.loaded();
    let bytes = resident().saturating_sub(before) / count;
    assert_eq!(view.len(), count);
    bytes
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn shuffle(order: &mut [usize], random: &SystemRandom) {
    for at in (1..order.len()).rev() {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).unwrap();
        order.swap(at, (u64::from_le_bytes(bytes) % (at as u64 + 1)) as usize);
    }
}

/// Places far from one another, so that no look-up finds the one before in a cache; of each `walker` others than
/// those of the walkers before.
pub(crate) fn walk(len: usize, walker: usize) -> impl FnMut() -> usize {
    let mut at = walker * 50_000 * STEP % len;
    move || {
        at = (at + STEP) % len;
        at
    }
}

pub(crate) const STEP: usize = 7919;
