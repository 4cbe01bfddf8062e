//! The vocabulary's texts, and the document of a restriction.

use base64ct::{Base64Unpadded, Encoding};
use core_types::{
    Fingerprint, Grant, Limit, Permission, PermissionPattern, Principal, Restriction, Scope, Subject,
    UnixTime, UserId,
};

use crate::text::{is_id, is_segment, read};

/// Ids of one kind.
pub(crate) fn id(input: &[u8]) -> bool {
    let Some(id) = read::<UserId>(input, |text| is_id("usr", text)) else { return false };
    assert_eq!(UserId::from_bytes(id.to_bytes()), id);
    let millis = id.to_bytes().iter().take(6).fold(0, |millis, byte| (millis << 8) | u64::from(*byte));
    assert_eq!(id.created_at(), UnixTime::from_millis(millis));
    true
}

/// Subjects and principals.
pub(crate) fn principal(input: &[u8]) -> bool {
    let is_subject = |text: &str| ["usr", "svc", "mch"].iter().any(|prefix| is_id(prefix, text));
    let subject = read::<Subject>(input, is_subject);
    let principal = read::<Principal>(input, |text| match text.split('@').collect::<Vec<_>>()[..] {
        [subject] => is_subject(subject),
        [token, subject] => is_id("tok", token) && is_subject(subject),
        _ => false,
    });
    assert!(subject.is_none() || subject.map(Principal::subject) == principal, "a subject is a principal");
    principal.is_some()
}

/// Scopes.
pub(crate) fn scope(input: &[u8]) -> bool {
    let valid = |text: &str| {
        let segments: Vec<_> = text.split('/').collect();
        text == "/"
            || (segments.len().is_multiple_of(2)
                && segments.len() <= 16
                && segments.into_iter().all(is_segment))
    };
    let Some(scope) = read::<Scope>(input, valid) else { return false };
    let rebuilt = scope.levels().try_fold(Scope::root(), |above, level| above.child(level.kind, level.name));
    assert_eq!(rebuilt.as_ref(), Ok(&scope), "a scope is its levels");
    let mut above = scope.parent();
    while let Some(outer) = above {
        assert!(outer.contains(&scope) && !scope.contains(&outer));
        assert_eq!(outer.intersect(&scope), Some(&scope));
        above = outer.parent();
    }
    true
}

/// Permissions and patterns.
pub(crate) fn permission(input: &[u8]) -> bool {
    let sides = |text: &str, valid: fn(&str) -> bool| match text.split(':').collect::<Vec<_>>()[..] {
        [service, verb] => valid(service) && valid(verb),
        _ => false,
    };
    let permission = read::<Permission>(input, |text| sides(text, is_segment));
    // The one alias has a second spelling by design.
    let pattern = if input == b"admin:*" {
        assert_eq!("admin:*".parse(), Ok(PermissionPattern::all()));
        PermissionPattern::all()
    } else {
        match read::<PermissionPattern>(input, |text| sides(text, |side| side == "*" || is_segment(side))) {
            Some(pattern) => pattern,
            None => return false,
        }
    };
    assert!(PermissionPattern::all().contains(&pattern) && pattern.contains(&pattern));
    assert_eq!(pattern.intersect(&PermissionPattern::all()), Some(pattern.clone()));
    if let Some(permission) = permission {
        assert!(pattern.matches(&permission), "a permission is the pattern of itself");
        assert_eq!(PermissionPattern::from(permission), pattern);
    }
    true
}

/// Fingerprints.
pub(crate) fn fingerprint(input: &[u8]) -> bool {
    let decode = |text: &str| Base64Unpadded::decode_vec(text.strip_prefix("SHA256:")?).ok();
    let valid = |text: &str| decode(text).is_some_and(|digest| digest.len() == 32);
    let Some(fingerprint) = read::<Fingerprint>(input, valid) else { return false };
    assert_eq!(decode(&fingerprint.to_string()).as_deref(), Some(&fingerprint.as_bytes()[..]));
    true
}

/// Documents of restrictions.
#[expect(clippy::unwrap_used, reason = "what was read can be written, and intersected with itself")]
pub(crate) fn restriction(input: &[u8]) -> bool {
    let Ok(restriction) = serde_json::from_slice::<Restriction>(input) else { return false };
    let document = serde_json::to_vec(&restriction).unwrap();
    assert_eq!(serde_json::from_slice::<Restriction>(&document).unwrap(), restriction);
    assert_eq!(restriction.intersect(&restriction).unwrap(), restriction);
    assert!(restriction.contains(&restriction) && Restriction::unrestricted().contains(&restriction));
    if let Limit::Only(grants) = restriction.grants() {
        assert!(grants.is_sorted());
        assert_eq!(Restriction::only(grants.iter().cloned()).unwrap().grants(), restriction.grants());
        assert!(grants.iter().all(|grant| grants.iter().filter(|other| other.contains(grant)).count() == 1));
    }
    // A restriction is no wider than the document that says it, whatever the parser made of it.
    if let Ok(serde_json::Value::Object(said)) = serde_json::from_slice(input) {
        let [grants, end] = ["grants", "expires_at"].map(|field| said.get(field).unwrap());
        assert_eq!(said.len(), 2);
        assert_eq!(restriction.grants() == Limit::Unlimited, is_unlimited(grants));
        assert_eq!(restriction.expires_at() == Limit::Unlimited, is_unlimited(end));
        if let (Limit::Only(kept), Some(said)) =
            (restriction.grants(), grants.get("only").and_then(|only| only.as_array()))
        {
            assert!(kept.len() <= said.len());
            assert!(kept.iter().all(|grant| said.iter().any(|said| says(said, grant))));
        }
        if let (Limit::Only(at), Some(said)) = (restriction.expires_at(), end.get("only")) {
            assert_eq!(Some(at.as_millis()), said.as_u64());
        }
    }
    true
}

/// `"unlimited"`, or the longer way in which serde writes the same.
fn is_unlimited(limit: &serde_json::Value) -> bool {
    *limit == "unlimited" || limit.get("unlimited").is_some_and(serde_json::Value::is_null)
}

/// Whether the document of a grant is this grant.
fn says(document: &serde_json::Value, grant: &Grant) -> bool {
    let text = |name: &str, place: usize| document.get(name).or_else(|| document.get(place))?.as_str();
    let permissions = match text("permissions", 0) {
        Some("admin:*") => Some("*:*"),
        other => other,
    };
    permissions == Some(&*grant.permissions.to_string())
        && text("scope", 1) == Some(&*grant.scope.to_string())
}
