//! Who is let into another tenant than its own.

use std::sync::Arc;

use core_types::{Scope, UnixTime};
use rpds::HashTrieMapSync;

use super::reach::Reach;
use super::{Directory, Kept, Slot, SubjectNode};
use crate::holder::TrustId;
use crate::record::TrustRecord;
use crate::request::AccessRequest;

type Kin = Arc<[Arc<Kept<TrustRecord>>]>;

/// All trusts, and those of each two tenants.
#[derive(Debug, Clone)]
pub(crate) struct Trusts {
    all: HashTrieMapSync<TrustId, Slot<TrustRecord>>,
    // By truster, then by trusted; each list sorted by id, none empty.
    between: HashTrieMapSync<Arc<str>, HashTrieMapSync<Arc<str>, Kin>>,
}

/// Why what is bound to a subject in a tenant counts there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entrance<'a> {
    /// It is at home there, or at the root.
    Home,
    /// It is let in.
    Trust(&'a TrustRecord),
}

impl Entrance<'_> {
    pub(crate) const fn trust(&self) -> Option<TrustId> {
        match self {
            Self::Home => None,
            Self::Trust(trust) => Some(trust.id),
        }
    }
}

impl Trusts {
    pub(super) fn new() -> Self {
        Self { all: HashTrieMapSync::new_sync(), between: HashTrieMapSync::new_sync() }
    }

    pub(crate) fn get(&self, id: TrustId) -> Option<&Slot<TrustRecord>> {
        self.all.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TrustId, &Slot<TrustRecord>)> {
        self.all.iter().map(|(id, slot)| (*id, slot))
    }

    /// Those by which the one tenant lets in the other, by id.
    pub(crate) fn between<'a>(
        &'a self,
        truster: &str,
        trusted: &str,
    ) -> impl Iterator<Item = &'a TrustRecord> + use<'a> {
        let kin = self.between.get(truster).and_then(|of_truster| of_truster.get(trusted));
        kin.into_iter().flat_map(|kin| kin.iter().map(|kept| &kept.record))
    }

    /// Those that let in subjects of this tenant, in no order.
    pub(crate) fn of_trusted<'a>(
        &'a self,
        trusted: &'a str,
    ) -> impl Iterator<Item = &'a TrustRecord> + use<'a> {
        let lists = self.between.values().filter_map(move |of_truster| of_truster.get(trusted));
        lists.flat_map(|kin| kin.iter().map(|kept| &kept.record))
    }

    pub(super) fn set(&mut self, id: TrustId, slot: Slot<TrustRecord>) {
        if let Some(Slot::Present(former)) = self.all.get(&id) {
            let former = Arc::clone(former);
            self.edit(&former.record, |kin| kin.retain(|kept| kept.record.id != id));
        }
        match &slot {
            Slot::Absent => {
                self.all.remove_mut(&id);
                return;
            }
            Slot::Unreadable => {}
            Slot::Present(kept) => {
                let kept = Arc::clone(kept);
                self.edit(&kept.record, |kin| {
                    kin.push(Arc::clone(&kept));
                    kin.sort_unstable_by_key(|kept| kept.record.id);
                });
            }
        }
        self.all.insert_mut(id, slot);
    }

    fn edit(&mut self, of: &TrustRecord, change: impl FnOnce(&mut Vec<Arc<Kept<TrustRecord>>>)) {
        let (truster, trusted) = (of.truster.as_path(), of.trusted.as_path());
        let mut of_truster = self.between.get(truster).cloned().unwrap_or_else(HashTrieMapSync::new_sync);
        let mut kin: Vec<Arc<Kept<TrustRecord>>> =
            of_truster.get(trusted).map(|kin| kin.to_vec()).unwrap_or_default();
        change(&mut kin);
        if kin.is_empty() {
            of_truster.remove_mut(trusted);
        } else {
            of_truster.insert_mut(trusted.into(), kin.into());
        }
        if of_truster.is_empty() {
            self.between.remove_mut(truster);
        } else {
            self.between.insert_mut(truster.into(), of_truster);
        }
    }
}

impl Directory {
    /// The trust that lets a subject of this reach in for what is asked: of several, the one of the lowest id.
    #[cold]
    pub(super) fn trust_for(&self, reach: &Reach, request: &AccessRequest<'_>) -> Option<&TrustRecord> {
        let tenant = reach.tenant()?;
        // The root is nobody's tenant.
        let truster = Some(request.resource.first_level()).filter(|truster| !truster.is_empty())?;
        self.trusts.between(truster, tenant).find(|trust| {
            trust.is_in_force(request.now)
                && trust.limit.allows(request.permission, request.resource, request.now)
        })
    }

    /// Whether what has its home at `home` is let in at `scope` for anything at all.
    pub(crate) fn is_let_in(&self, home: &Scope, scope: &Scope, now: UnixTime) -> bool {
        !home.is_root()
            && !scope.is_root()
            && self
                .trusts
                .between(scope.first_level(), home.first_level())
                .any(|trust| trust.is_in_force(now) && trust.overlaps(scope))
    }

    /// Those that let this subject in anywhere, now or once.
    pub(super) fn trusts_of<'a>(
        &'a self,
        node: &'a SubjectNode,
    ) -> impl Iterator<Item = &'a TrustRecord> + use<'a> {
        let all = node.reach().tenant().into_iter().flat_map(|tenant| self.trusts.of_trusted(tenant));
        // What is no tenant is the first level of nothing.
        all.filter(|trust| trust.truster.depth() == 1)
    }
}
