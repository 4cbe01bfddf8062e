//! Where things lie in the cluster. Below the namespace:
//!
//! - `g` and 24 bytes: a slot, where a commit leaves its id, until its node's lease ends;
//! - `h`: the head, put in every commit, whose revision is that of the last commit;
//! - `k` and a key: an entry.

use state_store::{Key, Prefix};

use crate::error::Failure;

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    base: Vec<u8>,
}

impl Layout {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { base: format!("{namespace}/").into_bytes() }
    }

    fn below(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        [self.base.as_slice(), &[kind], rest].concat()
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        self.below(b'h', &[])
    }

    pub(crate) fn slot(&self, name: &[u8]) -> Vec<u8> {
        self.below(b'g', name)
    }

    pub(crate) fn entry(&self, key: &Key) -> Vec<u8> {
        self.below(b'k', key.as_bytes())
    }

    /// Everything there is but slots.
    pub(crate) fn all(&self) -> (Vec<u8>, Vec<u8>) {
        (self.below(b'h', &[]), self.below(b'l', &[]))
    }

    /// The entries of a prefix after a key: the first place, and the one after the last.
    pub(crate) fn range(&self, prefix: &Prefix, after: Option<&Key>) -> (Vec<u8>, Vec<u8>) {
        let first = match after {
            Some(after) if after.as_bytes() >= prefix.as_bytes() => {
                self.below(b'k', &[after.as_bytes(), &[0]].concat())
            }
            _ => self.below(b'k', prefix.as_bytes()),
        };
        let mut end = prefix.as_bytes().to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return (first, self.below(b'k', &end));
            }
        }
        (first, self.below(b'l', &[]))
    }

    /// The key of an entry; `None` where something else lies.
    pub(crate) fn key(&self, place: &[u8]) -> Result<Option<Key>, Failure> {
        let Some([b'k', key @ ..]) = place.strip_prefix(self.base.as_slice()) else { return Ok(None) };
        Key::new(key).map(Some).map_err(|error| Failure::Damaged(format!("a stored key: {error}").into()))
    }
}
