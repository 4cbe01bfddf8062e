use std::sync::Arc;

use core_types::{Scope, Subject};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};
use state_store::Revision;

use crate::holder::{BindingId, GroupId};
use crate::record::{BindingRecord, GroupRecord, RoleRecord, SubjectRecord};

/// A record, and the commit that wrote it.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) record: T,
    pub(crate) revision: Revision,
}

pub(crate) type Bound = Kept<BindingRecord>;

/// What is known of a record that others refer to.
#[derive(Debug, Default)]
pub(crate) enum Slot<T> {
    #[default]
    Absent,
    Unreadable,
    Present(Arc<Kept<T>>),
}

impl<T> Slot<T> {
    pub(crate) fn present(&self) -> Option<&T> {
        self.kept().map(|kept| &kept.record)
    }

    pub(crate) fn kept(&self) -> Option<&Kept<T>> {
        match self {
            Self::Present(kept) => Some(kept),
            Self::Absent | Self::Unreadable => None,
        }
    }

    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Unreadable => Self::Unreadable,
            Self::Present(kept) => Self::Present(Arc::clone(kept)),
        }
    }
}

/// What a subject or a group holds by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carried {
    pub(crate) bindings: Bindings,
    pub(crate) stamp: Option<Revision>,
}

impl Carried {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.stamp.is_none()
    }
}

/// Bindings, sorted by scope and id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    sorted: Arc<[Arc<Bound>]>,
}

impl Bindings {
    pub(crate) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.sorted.iter().map(AsRef::as_ref)
    }

    /// Those whose scope contains `resource`, the nearest first, then by id.
    pub(crate) fn over<'a>(&'a self, resource: &'a Scope) -> impl Iterator<Item = &'a Bound> {
        let nothing_here = self.sorted.is_empty();
        resource.ancestor_paths().take_while(move |_| !nothing_here).flat_map(|path| self.exactly_at(path))
    }

    fn exactly_at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Bound> {
        let start = self.sorted.partition_point(|bound| bound.record.scope.as_path() < path);
        let tail = self.sorted.get(start..).unwrap_or_default().iter().map(AsRef::as_ref);
        tail.take_while(move |bound| bound.record.scope.as_path() == path)
    }

    pub(super) fn insert(&mut self, bound: Arc<Bound>) {
        let place = self.sorted.partition_point(|other| order(&other.record) < order(&bound.record));
        let (before, after) = self.sorted.split_at_checked(place).unwrap_or_default();
        self.sorted = before.iter().cloned().chain([bound]).chain(after.iter().cloned()).collect();
    }

    pub(super) fn remove(&mut self, id: BindingId) {
        self.sorted = self.sorted.iter().filter(|bound| bound.record.id != id).cloned().collect();
    }
}

fn order(record: &BindingRecord) -> (&str, BindingId) {
    (record.scope.as_path(), record.id)
}

/// A subject, or that something refers to it.
#[derive(Debug, Clone)]
pub(crate) struct SubjectNode {
    pub(crate) record: Slot<SubjectRecord>,
    pub(crate) carried: Carried,
    /// The groups it is a member of, and the commits that made it one.
    pub(crate) groups: RedBlackTreeMapSync<GroupId, Revision>,
}

impl Default for SubjectNode {
    fn default() -> Self {
        Self { record: Slot::Absent, carried: Carried::default(), groups: RedBlackTreeMapSync::new_sync() }
    }
}

impl SubjectNode {
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_absent() && self.carried.is_empty() && self.groups.is_empty()
    }
}

/// A group, or that something refers to it.
#[derive(Debug, Clone)]
pub(crate) struct GroupNode {
    pub(crate) record: Slot<GroupRecord>,
    pub(crate) carried: Carried,
    pub(crate) members: RedBlackTreeMapSync<Subject, Revision>,
    pub(crate) joined: Option<Revision>,
}

impl Default for GroupNode {
    fn default() -> Self {
        Self {
            record: Slot::Absent,
            carried: Carried::default(),
            members: RedBlackTreeMapSync::new_sync(),
            joined: None,
        }
    }
}

impl GroupNode {
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_absent() && self.carried.is_empty() && self.members.is_empty() && self.joined.is_none()
    }
}

/// A role of the embedder's own, or that something refers to it.
#[derive(Debug, Clone)]
pub(crate) struct RoleNode {
    pub(crate) record: Slot<RoleRecord>,
    pub(crate) bindings: RedBlackTreeSetSync<BindingId>,
    pub(crate) stamp: Option<Revision>,
}

impl Default for RoleNode {
    fn default() -> Self {
        Self { record: Slot::Absent, bindings: RedBlackTreeSetSync::new_sync(), stamp: None }
    }
}

impl RoleNode {
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_absent() && self.bindings.is_empty() && self.stamp.is_none()
    }
}
