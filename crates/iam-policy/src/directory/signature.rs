//! Short numbers that stand for texts, to pass over what cannot match without looking at the texts.
//!
//! Equal texts have equal signatures. Different texts may too, by chance or by design: whatever a signature
//! lets through is compared in full.

use core_types::{Permission, PermissionPattern, Scope};

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

/// Of a pattern: a number a side, `ANY` for `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PatternSignature {
    service: u64,
    verb: u64,
}

impl PatternSignature {
    pub(crate) fn of(pattern: &PermissionPattern) -> Self {
        let side = |name: Option<&str>| name.map_or(ANY, name_signature);
        Self { service: side(pattern.service()), verb: side(pattern.verb()) }
    }

    /// Whether the pattern can match the permission of this signature.
    #[inline]
    pub(crate) const fn may_match(&self, permission: PermissionSignature) -> bool {
        (self.service == ANY || self.service == permission.service)
            && (self.verb == ANY || self.verb == permission.verb)
    }
}

/// Of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PermissionSignature {
    service: u64,
    verb: u64,
}

impl PermissionSignature {
    #[inline]
    pub(crate) fn of(permission: &Permission) -> Self {
        Self { service: name_signature(permission.service()), verb: name_signature(permission.verb()) }
    }
}

/// Never [`ANY`]: the length is in it, and no name is empty.
fn name_signature(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let head = bytes.first_chunk::<8>().map_or_else(|| padded(bytes), |head| u64::from_le_bytes(*head));
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    (head ^ tail_of(bytes).rotate_left(29)).wrapping_mul(ODD) | len.max(1)
}

/// The last eight bytes, or all of them where there are fewer.
#[inline]
fn tail_of(bytes: &[u8]) -> u64 {
    bytes.last_chunk::<8>().map_or_else(|| padded(bytes), |tail| u64::from_le_bytes(*tail))
}

fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

const ANY: u64 = 0;
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use core_types::testing::{arb_pattern, arb_permission, arb_scope, arb_segment};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_signature_lets_through_whatever_matches(
            pattern in arb_pattern(), permission in arb_permission(), outer in arb_scope(), inner in arb_scope()
        ) {
            if pattern.matches(&permission) {
                let permission = PermissionSignature::of(&permission);
                prop_assert!(PatternSignature::of(&pattern).may_match(permission));
            }
            if outer.contains(&inner) {
                prop_assert!(ScopeSignature::of(&outer).may_contain(&inner));
            }
        }

        #[test]
        fn equal_names_have_equal_signatures_and_others_rarely(a in arb_segment(), b in arb_segment()) {
            let signature = |service: &str| PermissionSignature::of(&Permission::new(service, "read").unwrap());
            prop_assert_eq!(signature(&a), signature(&a.clone()));
            prop_assert!(a == b || a.len() > 16 || signature(&a) != signature(&b));
            let pattern: PermissionPattern = format!("{a}:*").parse().unwrap();
            prop_assert!(PatternSignature::of(&pattern).may_match(signature(&a)));
        }
    }
}
