//! Evidence that there are two histories.

use super::entry::Entry;
use super::member::MemberId;
use super::store::TrustStore;

/// Two different entries on one head, both rightly signed: whoever signed both, or let both happen, is at fault. It
/// can be shown to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkEvidence {
    one: Entry,
    other: Entry,
}

impl ForkEvidence {
    /// The evidence in two entries; `None` when they are no fork.
    #[must_use]
    pub fn between(one: &Entry, other: &Entry) -> Option<Self> {
        let same_place = one.cluster() == other.cluster()
            && one.epoch() == other.epoch()
            && one.previous() == other.previous();
        (same_place && one != other && one.is_signed() && other.is_signed())
            .then(|| Self { one: one.clone(), other: other.clone() })
    }

    /// The two entries.
    #[must_use]
    pub const fn entries(&self) -> (&Entry, &Entry) {
        (&self.one, &self.other)
    }

    /// Whether both authors are members in `store`, the state on which both build: then it is the cluster's own fork,
    /// and not a stranger's noise.
    #[must_use]
    pub fn concerns(&self, store: &TrustStore) -> bool {
        let member = |entry: &Entry| store.member(&MemberId::of(&entry.author())).is_some();
        *self.one.previous() == *store.head() && member(&self.one) && member(&self.other)
    }
}
