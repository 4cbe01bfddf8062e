//! The trees once more, from the log's own records, beside the walk.

use std::collections::{BTreeSet, HashMap, VecDeque};

use core_types::Scope;

use super::published::Published;
use crate::checkpoint::{Chain, LogId};
use crate::tlog::{Epoch, Frontier, Hash, Heads, Leaf, Origin, TreeHead};

/// All trees, as far as the walk has come.
pub(super) struct Trees {
    published: Published,
    log: LogId,
    tenants: Vec<Tenant>,
    slots: HashMap<Scope, usize>,
    heads: Heads,
    // Tenants whose head changed since `heads` was made.
    touched: BTreeSet<usize>,
    epochs: Frontier,
    // Records that an epoch may be about which comes later.
    pending: VecDeque<Pending>,
    // The sequence and the chain hash of the last one that is not pending.
    applied: (u64, Chain),
    // A head that the log does not lead to.
    forked: Option<Mismatch>,
    // Heads that lie in another tenant's place.
    misplaced: Vec<usize>,
}

struct Tenant {
    origin: Origin,
    tree: Frontier,
    expected: Option<(u64, Hash)>,
}

struct Pending {
    sequence: u64,
    chain: Chain,
    leaf: Option<(usize, Hash)>,
}

/// A signed head, and the record with which the log has another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mismatch {
    pub(super) at: u64,
}

/// Where the heads stand that the log has not reached.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) forked: Option<Mismatch>,
    /// These tenants' heads lie in the place of others.
    pub(super) misplaced: Vec<usize>,
    /// A signed head has more leaves than the log.
    pub(super) is_short: bool,
}

impl Trees {
    pub(super) fn new(published: Published, log: LogId) -> Self {
        Self {
            published,
            log,
            tenants: Vec::new(),
            slots: HashMap::new(),
            heads: Heads::new(),
            touched: BTreeSet::new(),
            epochs: Frontier::default(),
            pending: VecDeque::new(),
            applied: (0, [0; 32]),
            forked: None,
            misplaced: Vec::new(),
        }
    }

    /// Takes in a tenant's record.
    pub(super) fn record(&mut self, sequence: u64, chain: Chain, leaf: Option<Hash>, tenant: &Scope) {
        let slot = match self.slots.get(tenant) {
            Some(slot) => *slot,
            None => {
                let slot = self.tenants.len();
                let origin = Origin::of_tenant(&self.published.key, self.log, tenant.clone());
                let there = self.published.tenants.get(slot).and_then(Option::as_ref);
                if there.is_some_and(|head| head.origin.tenant() != Some(tenant)) && self.misplaced.len() < 16
                {
                    self.misplaced.push(slot);
                }
                let expected = self.published.head(slot, tenant).map(|head| (head.size, head.root));
                self.tenants.push(Tenant { origin, tree: Frontier::default(), expected });
                self.slots.insert(tenant.clone(), slot);
                slot
            }
        };
        let leaf = leaf.map(|leaf| (slot, leaf));
        self.push(Pending { sequence, chain, leaf });
    }

    /// Takes in an epoch; says whether it is what the records before it make it.
    pub(super) fn epoch(&mut self, sequence: u64, chain: Chain, entry: &[u8], epoch: &Epoch) -> bool {
        while self.pending.front().is_some_and(|pending| pending.sequence <= epoch.through) {
            self.apply_one();
        }
        for slot in std::mem::take(&mut self.touched) {
            if let Some(tenant) = self.tenants.get(slot) {
                let head = TreeHead::new(tenant.origin.clone(), tenant.tree.size(), tenant.tree.root());
                self.heads.set(slot, Hash::of_leaf(head.to_string().as_bytes()));
            }
        }
        // An epoch about records that lie too far back cannot be looked at.
        let is_seen = self.applied.0 == epoch.through;
        let is_true = !is_seen || (self.heads.root() == epoch.heads && self.applied.1 == epoch.chain);
        if let Some(leaf) = Leaf::encode(sequence, entry) {
            self.epochs.push(Hash::of_leaf(&leaf), |_, _, _| {});
            if let Some(head) = &self.published.epochs
                && head.size == self.epochs.size()
                && head.root != self.epochs.root()
            {
                self.forked.get_or_insert(Mismatch { at: sequence });
            }
        }
        self.push(Pending { sequence, chain, leaf: None });
        is_true
    }

    /// What is to be said when the log has ended.
    pub(super) fn finish(mut self) -> Verdict {
        while !self.pending.is_empty() {
            self.apply_one();
        }
        let is_short = |tenant: &Tenant| tenant.expected.is_some_and(|(size, _)| size > tenant.tree.size());
        let epochs = self.published.epochs.as_ref().is_some_and(|head| head.size > self.epochs.size());
        let slots = self.published.tenants.len() > self.tenants.len();
        let is_short = epochs || slots || self.tenants.iter().any(is_short);
        Verdict { forked: self.forked, misplaced: self.misplaced, is_short }
    }

    fn push(&mut self, pending: Pending) {
        if self.pending.len() >= MAX_PENDING {
            self.apply_one();
        }
        self.pending.push_back(pending);
    }

    fn apply_one(&mut self) {
        let Some(Pending { sequence, chain, leaf }) = self.pending.pop_front() else { return };
        self.applied = (sequence, chain);
        let Some((slot, leaf)) = leaf else { return };
        let Some(tenant) = self.tenants.get_mut(slot) else { return };
        tenant.tree.push(leaf, |_, _, _| {});
        self.touched.insert(slot);
        if let Some((size, root)) = tenant.expected
            && size == tenant.tree.size()
            && root != tenant.tree.root()
        {
            self.forked.get_or_insert(Mismatch { at: sequence });
        }
    }
}

// Some 40 MiB.
const MAX_PENDING: usize = 1 << 18;
