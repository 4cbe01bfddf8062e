//! Short numbers that stand for texts, to pass over what cannot match without looking at the texts.
//!
//! Equal texts have equal signatures. Different texts may too, by chance or by design: whatever a signature
//! lets through is compared in full.

use core_types::Scope;

/// Of a scope: how long its text is, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScopeSignature {
    len: usize,
    tail: u64,
}

impl ScopeSignature {
    pub(crate) fn of(scope: &Scope) -> Self {
        let bytes = scope.as_path().as_bytes();
        Self { len: bytes.len(), tail: tail_of(bytes) }
    }

    /// Whether the scope can contain `resource`.
    #[inline]
    pub(crate) fn may_contain(&self, resource: &Scope) -> bool {
        resource.as_path().as_bytes().get(..self.len).is_some_and(|head| tail_of(head) == self.tail)
    }
}

/// The last eight bytes, or all of them where there are fewer.
#[inline]
fn tail_of(bytes: &[u8]) -> u64 {
    bytes.last_chunk::<8>().map_or_else(|| padded(bytes), |tail| u64::from_le_bytes(*tail))
}

fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use core_types::testing::arb_scope;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_signature_lets_through_whatever_matches(outer in arb_scope(), inner in arb_scope()) {
            prop_assert!(!outer.contains(&inner) || ScopeSignature::of(&outer).may_contain(&inner));
            let above = inner.parent().unwrap_or_else(Scope::root);
            prop_assert!(ScopeSignature::of(&above).may_contain(&inner));
        }
    }
}
