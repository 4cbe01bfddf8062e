//! A persistent map from ids to values: clones share structure, and a change copies one path.
//!
//! A trie of 16-way branches over the low bits of the id, which are random. The values lie in its leaves, a
//! dozen or two beside one another after one byte of each id: a look-up among millions waits for memory once,
//! for the leaf, because everything above it stays in the processor's caches. Nothing is hashed: ids are made
//! here, so nobody chooses where they fall, and the ids that strangers present are only looked up, in a depth
//! that is bounded by the width of an id.

use std::iter;
use std::ops::Deref;
use std::sync::Arc;

use core_types::TokenId;

/// A persistent map from token ids. A change copies a leaf, so values must be cheap to clone.
#[derive(Debug)]
pub(crate) struct IdMap<V> {
    root: Node<V>,
    len: usize,
    // What is gathered to be built in at once, in the order it came; `None` takes out.
    gathered: Option<Vec<(TokenId, Option<V>)>>,
}

#[derive(Debug)]
enum Node<V> {
    Empty,
    Leaf(Leaf<V>),
    Branch(Arc<[Node<V>; FAN_OUT]>),
}

/// The tags, then the slots, in one piece of memory.
// INVARIANT: exactly the first cell is `Tags`, at least one and at most LEAF_LEN slots follow it.
type Leaf<V> = Arc<[Cell<V>]>;

// The tag stands first, and so in the same line of cache as what is looked at next to it.
#[derive(Debug, Clone)]
#[repr(u8)]
enum Cell<V> {
    // Also what is left of a slot that was moved out of a leaf nobody else holds.
    Tags(Tags),
    Slot(Slot<V>),
}

#[derive(Debug, Clone)]
#[repr(C)]
struct Slot<V> {
    id: [u8; 16],
    value: V,
}

/// A value where it lies, and the means to keep it.
#[derive(Debug)]
pub(crate) struct Found<'a, V> {
    leaf: &'a Leaf<V>,
    at: usize,
    value: &'a V,
}

/// A value that was found, with the leaf it lies in, so that keeping it touches no other memory.
#[derive(Debug)]
pub(crate) struct Held<V> {
    // INVARIANT: `at` is a slot of the leaf.
    leaf: Leaf<V>,
    at: usize,
}

impl<V: Clone> IdMap<V> {
    pub(crate) const fn new() -> Self {
        Self { root: Node::Empty, len: 0, gathered: None }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: TokenId) -> Option<&V> {
        Some(self.find(id)?.value)
    }

    #[inline]
    pub(crate) fn find(&self, id: TokenId) -> Option<Found<'_, V>> {
        let id = id.to_bytes();
        let mut path = path_of(&id);
        let mut node = &self.root;
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(leaf) => {
                    let (at, value) = look(leaf, &id)?;
                    return Some(Found { leaf, at, value });
                }
                Node::Branch(children) => {
                    node = children.get(step(&mut path))?;
                }
            }
        }
    }

    /// What is inserted from now on is to be found only once it is [built](Self::build) in.
    pub(crate) fn gather(&mut self) {
        self.gathered.get_or_insert_default();
    }

    /// Builds in what was gathered.
    pub(crate) fn build(&mut self) {
        let Some(mut gathered) = self.gathered.take() else { return };
        if self.len > 0 {
            for (id, value) in gathered {
                match value {
                    Some(value) => self.insert(id, value),
                    None => self.remove(id),
                };
            }
            return;
        }
        let mut order: Vec<(u128, usize)> =
            gathered.iter().enumerate().map(|(at, (id, _))| (route_of(*id), at)).collect();
        order.sort_unstable();
        // Of each id the last word counts.
        let mut kept: Vec<(u128, usize)> = Vec::with_capacity(order.len());
        for (route, at) in order {
            match kept.last_mut() {
                Some(last) if last.0 == route => last.1 = at,
                _ => kept.push((route, at)),
            }
        }
        kept.retain(|(_, at)| gathered.get(*at).is_some_and(|(_, value)| value.is_some()));
        self.len = kept.len();
        let scattered = Node::build(&kept, &mut gathered, 0);
        // Once more, after all leaves: beside one another, the branches stay in the caches.
        self.root = scattered.with_own_branches();
    }

    /// Whether there was none before, as far as is known while gathering.
    pub(crate) fn insert(&mut self, id: TokenId, value: V) -> bool {
        if let Some(gathered) = &mut self.gathered {
            gathered.push((id, Some(value)));
            return true;
        }
        let id = id.to_bytes();
        let is_new = self.root.insert(Slot { id, value }, path_of(&id), 0);
        if is_new {
            self.len = self.len.saturating_add(1);
        }
        is_new
    }

    /// Whether there was one.
    pub(crate) fn remove(&mut self, id: TokenId) -> bool {
        if let Some(gathered) = &mut self.gathered {
            gathered.push((id, None));
            return false;
        }
        let id = id.to_bytes();
        let was_there = self.root.remove(&id, path_of(&id));
        if was_there {
            self.len = self.len.saturating_sub(1);
        }
        was_there
    }

    /// All entries, in no useful order.
    pub(crate) fn iter(&self) -> Iter<'_, V> {
        Iter { nodes: vec![&self.root], cells: [].iter() }
    }
}

impl<V> Found<'_, V> {
    pub(crate) fn hold(&self) -> Held<V> {
        Held { leaf: Arc::clone(self.leaf), at: self.at }
    }
}

impl<V> Deref for Found<'_, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        self.value
    }
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Self { leaf: Arc::clone(&self.leaf), at: self.at }
    }
}

impl<V> Deref for Held<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        match self.leaf.get(self.at) {
            Some(Cell::Slot(slot)) => &slot.value,
            _ => unreachable!("`at` is a slot of the leaf"),
        }
    }
}

impl<V: Clone> Clone for IdMap<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len, gathered: self.gathered.clone() }
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Branch(children) => Self::Branch(Arc::clone(children)),
        }
    }
}

impl<V: Clone> Node<V> {
    fn insert(&mut self, slot: Slot<V>, mut path: u128, depth: u32) -> bool {
        match self {
            Self::Empty => {
                *self = Self::leaf(iter::empty(), slot);
                true
            }
            Self::Branch(children) => Arc::make_mut(children)
                .get_mut(step(&mut path))
                .is_some_and(|child| child.insert(slot, path, depth.saturating_add(1))),
            Self::Leaf(leaf) => {
                if let Some((at, _)) = look(leaf, &slot.id) {
                    if let Some(cell) = Arc::make_mut(leaf).get_mut(at) {
                        *cell = Cell::Slot(slot);
                    }
                    return false;
                }
                let is_full = leaf.len() > LEAF_LEN && depth < MAX_DEPTH;
                *self = match (Arc::get_mut(leaf), is_full) {
                    (Some(cells), false) => Self::leaf(slots_mut(cells).iter_mut().map(take), slot),
                    (Some(cells), true) => Self::branch(slots_mut(cells).iter_mut().map(take), slot, depth),
                    (None, false) => Self::leaf(slots(leaf).iter().cloned(), slot),
                    (None, true) => Self::branch(slots(leaf).iter().cloned(), slot, depth),
                };
                true
            }
        }
    }

    fn remove(&mut self, id: &[u8; 16], mut path: u128) -> bool {
        match self {
            Self::Empty => false,
            Self::Branch(children) => {
                let at = step(&mut path);
                // Looking first: a branch is not copied for an id that is not there.
                if !children.get(at).is_some_and(|child| child.holds(id, path)) {
                    return false;
                }
                let children = Arc::make_mut(children);
                let was_there = children.get_mut(at).is_some_and(|child| child.remove(id, path));
                // Removal is rare (tombstones that ran out); branches that empty entirely are given back.
                if children.iter().all(|child| matches!(child, Self::Empty)) {
                    *self = Self::Empty;
                }
                was_there
            }
            Self::Leaf(leaf) => {
                let Some((gone, _)) = look(leaf, id) else { return false };
                let kept = leaf.iter().enumerate().skip(1).filter(|(at, _)| *at != gone);
                let mut slots: Vec<Cell<V>> = kept.map(|(_, cell)| cell.clone()).collect();
                *self = match slots.pop() {
                    Some(Cell::Slot(last)) => Self::leaf(slots.into_iter(), last),
                    _ => Self::Empty,
                };
                true
            }
        }
    }

    fn holds(&self, id: &[u8; 16], mut path: u128) -> bool {
        match self {
            Self::Empty => false,
            Self::Leaf(leaf) => look(leaf, id).is_some(),
            Self::Branch(children) => {
                children.get(step(&mut path)).is_some_and(|child| child.holds(id, path))
            }
        }
    }

    /// What stands in these places, which come in the order of their routes.
    fn build(places: &[(u128, usize)], values: &mut [(TokenId, Option<V>)], depth: u32) -> Self {
        if places.len() > LEAF_LEN && depth < MAX_DEPTH {
            let mut rest = places;
            let shift = 128_u32.saturating_sub(BITS.saturating_mul(depth.saturating_add(1)));
            let children = core::array::from_fn(|child| {
                let ends = |(route, _): &(u128, usize)| {
                    usize::try_from(route.wrapping_shr(shift) & FAN_OUT_MASK).unwrap_or(0) <= child
                };
                let (here, others) = rest.split_at(rest.partition_point(ends));
                rest = others;
                Self::build(here, values, depth.saturating_add(1))
            });
            return Self::Branch(Arc::new(children));
        }
        let mut slots: Vec<Cell<V>> = Vec::with_capacity(places.len());
        for (_, at) in places {
            if let Some((id, value)) = values.get_mut(*at)
                && let Some(value) = value.take()
            {
                slots.push(Cell::Slot(Slot { id: id.to_bytes(), value }));
            }
        }
        match slots.pop() {
            Some(Cell::Slot(last)) => Self::leaf(slots.into_iter(), last),
            _ => Self::Empty,
        }
    }

    /// The same, with branches nobody else holds.
    fn with_own_branches(&self) -> Self {
        match self {
            Self::Branch(children) => {
                Self::Branch(Arc::new(children.each_ref().map(Self::with_own_branches)))
            }
            other => other.clone(),
        }
    }

    /// A leaf of these slots and one more.
    fn leaf(slots: impl Iterator<Item = Cell<V>>, last: Slot<V>) -> Self {
        let cells = iter::once(Cell::Tags(NO_TAGS)).chain(slots).chain(iter::once(Cell::Slot(last)));
        let mut leaf: Leaf<V> = cells.collect();
        if let Some((first, slots)) = Arc::get_mut(&mut leaf).and_then(<[_]>::split_first_mut) {
            let mut tags = NO_TAGS;
            for (tag, cell) in tags.iter_mut().flatten().zip(slots) {
                if let Cell::Slot(slot) = cell {
                    *tag = tag_of(&slot.id);
                }
            }
            *first = Cell::Tags(tags);
        }
        Self::Leaf(leaf)
    }

    /// A branch of what is in a leaf, and one more.
    fn branch(cells: impl Iterator<Item = Cell<V>>, last: Slot<V>, depth: u32) -> Self {
        let mut children = [const { Self::Empty }; FAN_OUT];
        for cell in cells.chain(iter::once(Cell::Slot(last))) {
            let Cell::Slot(slot) = cell else { continue };
            let mut path = path_of(&slot.id).wrapping_shr(depth.wrapping_mul(BITS));
            if let Some(child) = children.get_mut(step(&mut path)) {
                child.insert(slot, path, depth.saturating_add(1));
            }
        }
        Self::Branch(Arc::new(children))
    }
}

/// Moves a cell out of a leaf nobody else holds.
fn take<V>(cell: &mut Cell<V>) -> Cell<V> {
    core::mem::replace(cell, Cell::Tags(NO_TAGS))
}

/// The place of an id in a leaf, and its value.
#[inline]
fn look<'a, V>(leaf: &'a Leaf<V>, id: &[u8; 16]) -> Option<(usize, &'a V)> {
    let Some(Cell::Tags(tags)) = leaf.first() else { return None };
    let wanted = u64::from(tag_of(id)).wrapping_mul(EVERY_BYTE);
    let mut group_at = 1_usize;
    for group in tags {
        // Bytes that are equal become zero, and of the zero bytes the highest bit is set (Warren, Hacker's
        // Delight, 6-1). It may be set wrongly above such a byte; the whole id decides.
        let different = u64::from_le_bytes(*group) ^ wanted;
        let mut marks = different.wrapping_sub(EVERY_BYTE) & !different & EVERY_HIGH_BIT;
        while marks != 0 {
            let place = usize::try_from(marks.trailing_zeros() / u8::BITS).unwrap_or(0);
            let at = group_at.wrapping_add(place);
            if let Some(Cell::Slot(slot)) = leaf.get(at)
                && slot.id == *id
            {
                return Some((at, &slot.value));
            }
            marks &= marks.wrapping_sub(1);
        }
        group_at = group_at.wrapping_add(GROUP_LEN);
    }
    None
}

fn slots<V>(cells: &[Cell<V>]) -> &[Cell<V>] {
    cells.split_first().map_or(&[], |(_, slots)| slots)
}

fn slots_mut<V>(cells: &mut [Cell<V>]) -> &mut [Cell<V>] {
    cells.split_first_mut().map_or(&mut [], |(_, slots)| slots)
}

/// The entries of an [`IdMap`].
pub(crate) struct Iter<'a, V> {
    // Depth times fan-out at most.
    nodes: Vec<&'a Node<V>>,
    cells: core::slice::Iter<'a, Cell<V>>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (TokenId, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.cells.next() {
                Some(Cell::Slot(slot)) => return Some((TokenId::from_bytes(slot.id), &slot.value)),
                Some(Cell::Tags(_)) => continue,
                None => {}
            }
            match self.nodes.pop()? {
                Node::Empty => {}
                Node::Leaf(leaf) => self.cells = leaf.iter(),
                Node::Branch(children) => self.nodes.extend(children.iter()),
            }
        }
    }
}

/// The bits of an id in the order the trie uses them.
fn path_of(id: &[u8; 16]) -> u128 {
    u128::from_be_bytes(*id)
}

/// The path with the bits that are used first on top: numbers in the order of the leaves.
fn route_of(id: TokenId) -> u128 {
    let mut path = path_of(&id.to_bytes());
    let mut route = 0;
    for _ in 0..MAX_DEPTH {
        route = (route << BITS) | (path & FAN_OUT_MASK);
        path >>= BITS;
    }
    route
}

/// Takes the next bits off the path: a child's place.
#[inline]
fn step(path: &mut u128) -> usize {
    let at = usize::try_from(*path & FAN_OUT_MASK).unwrap_or(0);
    *path >>= BITS;
    at
}

/// A random byte of an id that the first levels of the trie do not use.
#[inline]
const fn tag_of(id: &[u8; 16]) -> u8 {
    let [_, _, _, _, _, _, _, _, tag, ..] = *id;
    tag
}

type Tags = [[u8; GROUP_LEN]; LEAF_LEN / GROUP_LEN];

const BITS: u32 = 4;
const FAN_OUT: usize = 1 << BITS;
const FAN_OUT_MASK: u128 = 0xf;
/// The most entries of a leaf above the last level: at a million tokens this saves a level against 16, and a
/// write still copies no more than four kilobytes.
const LEAF_LEN: usize = 32;
/// Where all bits of an id are used up.
const MAX_DEPTH: u32 = 128 / BITS;
const GROUP_LEN: usize = 8;
const NO_TAGS: Tags = [[0; GROUP_LEN]; LEAF_LEN / GROUP_LEN];
const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;
const EVERY_HIGH_BIT: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests;
