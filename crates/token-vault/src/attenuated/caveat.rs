//! The bytes of a caveat.

use core_types::{Grant, Limit, Restriction, UnixTime};

/// The bytes of a restriction; `None` when it limits nothing, allows nothing, or is too long.
pub(super) fn encode(restriction: &Restriction) -> Option<Vec<u8>> {
    let (grants, end) = (restriction.grants(), restriction.expires_at());
    let flags = flag(grants, GRANTS) | flag(end.as_ref(), END);
    let mut bytes = vec![flags];
    if let Limit::Only(end) = end {
        bytes.extend_from_slice(&end.as_millis().to_be_bytes());
    }
    if let Limit::Only(grants) = grants {
        if grants.is_empty() {
            return None;
        }
        bytes.extend_from_slice(&u16::try_from(grants.len()).ok()?.to_be_bytes());
        for grant in grants {
            let (permissions, scope) = (grant.permissions.to_string(), grant.scope.to_string());
            bytes.push(u8::try_from(permissions.len()).ok()?);
            bytes.extend_from_slice(permissions.as_bytes());
            bytes.extend_from_slice(&u16::try_from(scope.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(scope.as_bytes());
        }
    }
    (flags != 0).then_some(bytes)
}

/// The restriction of these bytes, if they are its one spelling.
pub(super) fn decode(bytes: &[u8]) -> Option<Restriction> {
    let (&flags, mut rest) = bytes.split_first()?;
    if flags == 0 || flags & !(GRANTS | END) != 0 {
        return None;
    }
    let end = match flags & END {
        0 => None,
        _ => Some(UnixTime::from_millis(u64::from_be_bytes(*take(&mut rest)?))),
    };
    let mut restriction = Restriction::unrestricted();
    if flags & GRANTS != 0 {
        let count = usize::from(u16::from_be_bytes(*take(&mut rest)?));
        let mut grants = Vec::new();
        for _ in 0..count {
            let length = usize::from(u8::from_be_bytes(*take(&mut rest)?));
            let permissions = text(&mut rest, length)?.parse().ok()?;
            let length = usize::from(u16::from_be_bytes(*take(&mut rest)?));
            grants.push(Grant::new(permissions, text(&mut rest, length)?.parse().ok()?));
        }
        restriction = Restriction::only(grants).ok()?;
    }
    if let Some(end) = end {
        restriction = restriction.expiring(end);
    }
    // Another order, a grant within another, the alias of a pattern: other spellings.
    (rest.is_empty() && encode(&restriction).as_deref() == Some(bytes)).then_some(restriction)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

fn text<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a str> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    core::str::from_utf8(taken).ok()
}

const fn flag<T: Copy>(limit: Limit<T>, flag: u8) -> u8 {
    match limit {
        Limit::Unlimited => 0,
        Limit::Only(_) => flag,
    }
}

const GRANTS: u8 = 1;
const END: u8 = 2;
