//! A persistent map from ids to values: clones share structure, and a change copies one path.
//!
//! A trie of 16-way branches over the low bits of the id, which are random, with leaves of a few dozen bytes
//! per entry. Nothing is hashed: ids are made here, so nobody chooses where they fall, and the ids that
//! strangers present are only looked up, in a depth that is bounded by the width of an id.

use std::sync::Arc;

use core_types::TokenId;

/// A persistent map from token ids.
#[derive(Debug)]
pub(crate) struct IdMap<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Debug)]
enum Node<V> {
    Empty,
    Leaf(Arc<[Slot<V>]>),
    Branch(Arc<[Node<V>; FAN_OUT]>),
}

#[derive(Debug, Clone)]
struct Slot<V> {
    id: [u8; 16],
    // `None` only while a leaf that nobody else holds is being rebuilt.
    value: Option<V>,
}

impl<V: Clone> IdMap<V> {
    pub(crate) const fn new() -> Self {
        Self { root: Node::Empty, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: TokenId) -> Option<&V> {
        let id = id.to_bytes();
        let mut path = path_of(&id);
        let mut node = &self.root;
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(slots) => {
                    return slots.iter().find(|slot| slot.id == id).and_then(|slot| slot.value.as_ref());
                }
                Node::Branch(children) => {
                    node = children.get(step(&mut path))?;
                }
            }
        }
    }

    /// Returns what was there.
    pub(crate) fn insert(&mut self, id: TokenId, value: V) -> Option<V> {
        let id = id.to_bytes();
        let before = self.root.insert(Slot { id, value: Some(value) }, path_of(&id), 0);
        if before.is_none() {
            self.len = self.len.saturating_add(1);
        }
        before
    }

    /// Returns what was there.
    pub(crate) fn remove(&mut self, id: TokenId) -> Option<V> {
        let id = id.to_bytes();
        let before = self.root.remove(&id, path_of(&id));
        if before.is_some() {
            self.len = self.len.saturating_sub(1);
        }
        before
    }

    /// All entries, in no useful order.
    pub(crate) fn iter(&self) -> Iter<'_, V> {
        Iter { nodes: vec![&self.root], slots: [].iter() }
    }
}

impl<V> Clone for IdMap<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Leaf(slots) => Self::Leaf(Arc::clone(slots)),
            Self::Branch(children) => Self::Branch(Arc::clone(children)),
        }
    }
}

impl<V: Clone> Node<V> {
    fn insert(&mut self, slot: Slot<V>, mut path: u128, depth: u32) -> Option<V> {
        match self {
            Self::Empty => {
                *self = Self::Leaf(Arc::new([slot]));
                None
            }
            Self::Branch(children) => {
                let child = Arc::make_mut(children).get_mut(step(&mut path))?;
                child.insert(slot, path, depth.saturating_add(1))
            }
            Self::Leaf(slots) => {
                let known = slots.iter().position(|known| known.id == slot.id);
                let mut all = take_slots(slots);
                let before = match known.and_then(|at| all.get_mut(at)) {
                    Some(old) => core::mem::replace(&mut old.value, slot.value),
                    None => {
                        all.push(slot);
                        None
                    }
                };
                *self = Self::of(all, depth);
                before
            }
        }
    }

    fn remove(&mut self, id: &[u8; 16], mut path: u128) -> Option<V> {
        match self {
            Self::Empty => None,
            Self::Branch(children) => {
                let at = step(&mut path);
                // Looking first: a branch is not copied for an id that is not there.
                children.get(at)?.find(id, path)?;
                let children = Arc::make_mut(children);
                let before = children.get_mut(at)?.remove(id, path);
                // Removal is rare (tombstones that ran out); branches that empty entirely are given back.
                if children.iter().all(|child| matches!(child, Self::Empty)) {
                    *self = Self::Empty;
                }
                before
            }
            Self::Leaf(slots) => {
                let at = slots.iter().position(|slot| slot.id == *id)?;
                let mut all = take_slots(slots);
                let before = all.swap_remove(at).value;
                *self = if all.is_empty() { Self::Empty } else { Self::Leaf(all.into()) };
                before
            }
        }
    }

    fn find(&self, id: &[u8; 16], mut path: u128) -> Option<()> {
        match self {
            Self::Empty => None,
            Self::Leaf(slots) => slots.iter().any(|slot| slot.id == *id).then_some(()),
            Self::Branch(children) => children.get(step(&mut path))?.find(id, path),
        }
    }

    /// A leaf, or a branch of leaves where they are too many for one.
    fn of(slots: Vec<Slot<V>>, depth: u32) -> Self {
        if slots.len() <= LEAF_LEN || depth >= MAX_DEPTH {
            return Self::Leaf(slots.into());
        }
        let mut groups: [Vec<Slot<V>>; FAN_OUT] = [const { Vec::new() }; FAN_OUT];
        for slot in slots {
            let mut path = path_of(&slot.id).wrapping_shr(depth.wrapping_mul(BITS));
            if let Some(group) = groups.get_mut(step(&mut path)) {
                group.push(slot);
            }
        }
        let depth = depth.saturating_add(1);
        Self::Branch(Arc::new(
            groups.map(|group| if group.is_empty() { Self::Empty } else { Self::of(group, depth) }),
        ))
    }
}

/// The slots, moved out of a leaf nobody else holds, else copied.
fn take_slots<V: Clone>(slots: &mut Arc<[Slot<V>]>) -> Vec<Slot<V>> {
    let mut all = Vec::with_capacity(slots.len().saturating_add(1));
    match Arc::get_mut(slots) {
        Some(slots) => {
            all.extend(slots.iter_mut().map(|slot| Slot { id: slot.id, value: slot.value.take() }))
        }
        None => all.extend(slots.iter().cloned()),
    }
    all
}

/// The entries of an [`IdMap`].
pub(crate) struct Iter<'a, V> {
    // Depth times fan-out at most.
    nodes: Vec<&'a Node<V>>,
    slots: core::slice::Iter<'a, Slot<V>>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (TokenId, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(slot) = self.slots.next() {
                if let Some(value) = &slot.value {
                    return Some((TokenId::from_bytes(slot.id), value));
                }
                continue;
            }
            match self.nodes.pop()? {
                Node::Empty => {}
                Node::Leaf(slots) => self.slots = slots.iter(),
                Node::Branch(children) => self.nodes.extend(children.iter()),
            }
        }
    }
}

/// The bits of an id in the order the trie uses them.
fn path_of(id: &[u8; 16]) -> u128 {
    u128::from_be_bytes(*id)
}

/// Takes the next bits off the path: a child's place.
#[inline]
fn step(path: &mut u128) -> usize {
    let at = usize::try_from(*path & FAN_OUT_MASK).unwrap_or(0);
    *path >>= BITS;
    at
}

const BITS: u32 = 4;
const FAN_OUT: usize = 1 << BITS;
const FAN_OUT_MASK: u128 = 0xf;
/// The most entries of a leaf above the last level: at a million tokens this saves a level against 16, and a
/// write still copies less than a kilobyte.
const LEAF_LEN: usize = 32;
/// Where all bits of an id are used up.
const MAX_DEPTH: u32 = 128 / BITS;

#[cfg(test)]
mod tests;
