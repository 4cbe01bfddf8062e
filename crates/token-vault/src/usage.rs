//! Who used what, and how often, until it is written: in bounded memory, and never in a request's way.

mod log;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use core_types::{TokenId, UnixTime};

use self::log::Logs;

/// Uses that are not yet written.
#[derive(Debug)]
pub(crate) struct UsageBook {
    logs: Logs,
    // What was in the logs, token by token.
    shards: [Padded; SHARDS],
}

/// What happened to a token since the last flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) last_used_at: Option<UnixTime>,
    pub(crate) uses: u64,
    pub(crate) failures: u64,
}

/// A shard on cache lines of its own, so that threads at different shards do not slow one another.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded {
    shard: Mutex<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    tokens: HashMap<TokenId, Pending, BuildHasherDefault<IdHasher>>,
    lost: u64,
}

impl UsageBook {
    pub(crate) fn new() -> Self {
        Self { logs: Logs::new(), shards: core::array::from_fn(|_| Padded::default()) }
    }

    /// Notes a use that nobody asks for before it is collected.
    #[inline]
    pub(crate) fn used(&self, id: TokenId, now: UnixTime) {
        if self.logs.add(id, now, |uses| self.used_all(uses)).is_err() {
            self.logs.join();
            self.used_now(id, now);
        }
    }

    /// Notes a use that [`last_used_at`](Self::last_used_at) is to know at once.
    pub(crate) fn used_now(&self, id: TokenId, now: UnixTime) {
        self.add(id, Pending { last_used_at: Some(now), uses: 1, failures: 0 });
    }

    /// Brings in what threads have noted.
    pub(crate) fn collect(&self) {
        self.logs.take(|uses| self.used_all(uses));
    }

    /// Shard by shard, so that each is locked once, and what is looked up under the lock is waited for together.
    fn used_all(&self, uses: &mut [(TokenId, UnixTime)]) {
        uses.sort_unstable_by_key(|(id, _)| shard_of(*id));
        for uses in uses.chunk_by(|(one, _), (next, _)| shard_of(*one) == shard_of(*next)) {
            let Some(mut shard) = uses.first().and_then(|(id, _)| self.shard(*id)) else { continue };
            for (id, at) in uses {
                shard.add(*id, Pending { last_used_at: Some(*at), uses: 1, failures: 0 });
            }
        }
    }

    pub(crate) fn failed(&self, id: TokenId) {
        self.add(id, Pending { last_used_at: None, uses: 0, failures: 1 });
    }

    pub(crate) fn last_used_at(&self, id: TokenId) -> Option<UnixTime> {
        self.shard(id)?.tokens.get(&id)?.last_used_at
    }

    /// Adds to what is remembered of the token; where there is no room, it is counted as lost.
    pub(crate) fn add(&self, id: TokenId, news: Pending) {
        if let Some(mut shard) = self.shard(id) {
            shard.add(id, news);
        }
    }

    /// Takes out at most `limit` tokens that `ready` says may be written.
    pub(crate) fn take(&self, limit: usize, ready: impl Fn(TokenId) -> bool) -> Vec<(TokenId, Pending)> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(&shard.shard);
            let room = limit.saturating_sub(taken.len());
            let ids: Vec<TokenId> = shard.tokens.keys().copied().filter(|id| ready(*id)).take(room).collect();
            taken.extend(ids.into_iter().filter_map(|id| shard.tokens.remove_entry(&id)));
        }
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.shard).tokens.len()).sum()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.shards.iter().map(|shard| lock(&shard.shard).lost).fold(0, u64::saturating_add)
    }

    fn shard(&self, id: TokenId) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(shard_of(id)).map(|padded| lock(&padded.shard))
    }
}

impl Shard {
    fn add(&mut self, id: TokenId, news: Pending) {
        let room = self.tokens.len() < SHARD_LEN;
        match self.tokens.get_mut(&id) {
            Some(pending) => pending.merge(news),
            None if room => {
                self.tokens.insert(id, news);
            }
            None => self.lost = self.lost.saturating_add(1),
        }
    }
}

fn shard_of(id: TokenId) -> usize {
    let [.., last] = id.to_bytes();
    usize::from(last & SHARD_MASK)
}

impl Pending {
    pub(crate) fn merge(&mut self, news: Self) {
        self.last_used_at = self.last_used_at.max(news.last_used_at);
        self.uses = self.uses.saturating_add(news.uses);
        self.failures = self.failures.saturating_add(news.failures);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Every change under the lock is complete before anything can panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the id's own random bits. Only ids of known tokens get here, and those are made, not chosen.
#[derive(Debug, Default)]
pub(crate) struct IdHasher {
    hash: u64,
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = self.hash.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        // Bits 8 to 71: random, and not those that choose the shard. Spread to the top, where maps look.
        self.hash = u64::try_from((number >> 8) & u128::from(u64::MAX)).unwrap_or(0).wrapping_mul(SPREAD);
    }
}

const SHARDS: usize = 16;
const SHARD_MASK: u8 = 15;
/// So the book remembers at most 65,536 tokens between two flushes.
const SHARD_LEN: usize = 4096;
/// 2^64 divided by the golden ratio, odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
