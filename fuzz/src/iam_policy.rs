//! Names, holders and roles, and the records that decisions are taken by.

use std::collections::BTreeMap;

use core_types::{Permission, Principal, Restriction, Scope, Subject, UserId};
use iam_policy::record::{
    BindingRecord, GroupRecord, MembershipRecord, RoleRecord, SubjectRecord, SubjectState,
};
use iam_policy::{
    AccessRequest, Allow, Authorizer, BuiltInRole, Decision, DenyReason, Directory, Holder, Name, PREFIX,
    PatternSet, RoleRef,
};
use state_store::{Record, Value, record};

use crate::follow::{NOW, follow};
use crate::text::{is_id, read};

/// Names, holders, roles.
pub(crate) fn text(input: &[u8]) {
    let subjects = ["usr", "svc", "mch"];
    read::<Name>(input, |text| {
        (1..=128).contains(&text.len())
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".@_+-".contains(letter))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
    });
    read::<Holder>(input, |text| subjects.iter().chain(&["grp"]).any(|prefix| is_id(prefix, text)));
    read::<RoleRef>(input, |text| {
        is_id("rol", text) || BuiltInRole::ALL.iter().any(|role| role.name() == text)
    });
    // A list of patterns in JSON: the set is no wider than the list.
    let (set, list) = (serde_json::from_slice::<PatternSet>(input), serde_json::from_slice::<Vec<_>>(input));
    if let (Ok(set), Ok(list)) = (set, list) {
        let list: Vec<core_types::PermissionPattern> = list;
        assert!(list.iter().all(|pattern| set.contains(pattern)));
        assert!(set.iter().all(|pattern| list.contains(pattern)));
        assert!(set.iter().all(|pattern| set.iter().filter(|other| other.contains(pattern)).count() == 1));
    }
}

/// Stores with anything under the directory's keys: whatever they hold, nobody may do what no record grants.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn directory(input: &[u8]) {
    let Some(stores) = follow::<Directory>(input, PREFIX) else { return };
    let [followed, rebuilt] = [&stores.followed, &stores.rebuilt].map(|replica| replica.snapshot());
    let policy = Policy { entries: &stores.entries };
    let permissions: [Permission; 3] =
        ["apps:read", "compute:start", "iam:write"].map(|text| text.parse().unwrap());
    let resources: [Scope; 4] = ["/", "org/a", "org/a/project/b", "org/c"].map(|text| text.parse().unwrap());
    let (unrestricted, nothing) = (Restriction::unrestricted(), Restriction::nothing());
    for subject in policy.subjects() {
        let principal = Principal::subject(subject);
        for (permission, resource) in
            permissions.iter().flat_map(|it| resources.iter().map(move |at| (it, at)))
        {
            let request = AccessRequest::new(&principal, &unrestricted, permission, resource, NOW);
            let decision = Authorizer::of(&followed).authorize(&request);
            assert_eq!(decision, Authorizer::of(&rebuilt).authorize(&request));
            if let Decision::Allow(allow) = &decision {
                policy.assert_grants(allow, subject, permission, resource);
            }
            if policy.has_unknown_family() {
                assert!(
                    matches!(&decision, Decision::Deny(deny) if deny.reason == DenyReason::UnreadablePolicy)
                );
            }
            let restricted = AccessRequest::new(&principal, &nothing, permission, resource, NOW);
            assert!(matches!(Authorizer::of(&followed).authorize(&restricted), Decision::Deny(_)));
        }
    }
}

/// What the store holds in the end.
struct Policy<'a> {
    entries: &'a BTreeMap<String, String>,
}

impl Policy<'_> {
    /// Everyone who is named in a key, and a stranger.
    fn subjects(&self) -> Vec<Subject> {
        let named = self.entries.keys().filter_map(|key| key.rsplit('/').next()?.parse().ok());
        named.chain([Subject::User(UserId::from_bytes([0; 16]))]).collect()
    }

    fn has_unknown_family(&self) -> bool {
        let known = ["subject", "group", "role", "member", "binding", "stamp", "joined"];
        self.entries.keys().filter_map(|key| key.strip_prefix(PREFIX)).any(|key| {
            key != "started" && key.split_once('/').is_none_or(|(family, _)| !known.contains(&family))
        })
    }

    /// The record under a key, read by itself.
    fn record<R: Record>(&self, key: &str) -> Option<R> {
        record::decode(&Value::new(self.entries.get(&format!("{PREFIX}{key}"))?).ok()?).ok()
    }

    /// Every link of the chain from the subject to the permission stands in the store.
    #[expect(clippy::unwrap_used, reason = "a link that is missing is a wrong answer")]
    fn assert_grants(&self, allow: &Allow, subject: Subject, permission: &Permission, resource: &Scope) {
        let who: SubjectRecord = self.record(&format!("subject/{subject}")).unwrap();
        assert_eq!((who.id, who.state), (subject, SubjectState::Enabled));
        assert!(reaches(&who.home, resource));

        let binding: BindingRecord = self.record(&format!("binding/{}", allow.binding())).unwrap();
        assert_eq!((binding.id, binding.role), (allow.binding(), allow.role()));
        assert!(binding.scope.contains(resource) && allow.scope(resource) == binding.scope);
        assert!(!binding.is_expired(NOW));

        match (binding.holder, allow.via()) {
            (Holder::Subject(holder), None) => assert_eq!(holder, subject),
            (Holder::Group(holder), Some(group)) => {
                assert_eq!(holder, group);
                let record: GroupRecord = self.record(&format!("group/{group}")).unwrap();
                assert!(record.id == group && reaches(&record.home, resource));
                let member: MembershipRecord = self.record(&format!("member/{group}/{subject}")).unwrap();
                assert_eq!((member.group, member.subject), (group, subject));
            }
            other => assert_eq!(other, (Holder::Subject(subject), None)),
        }
        match binding.role {
            RoleRef::BuiltIn(role) => {
                let patterns = role.permissions().iter().map(|text| text.parse().unwrap());
                assert!(PatternSet::new(patterns).unwrap().matches(permission));
            }
            RoleRef::Custom(id) => {
                let role: RoleRecord = self.record(&format!("role/{id}")).unwrap();
                assert!(role.id == id && role.home.contains(&binding.scope));
                assert!(role.permissions.iter().any(|pattern| pattern.matches(permission)));
            }
            other => assert_eq!(Some(other), None, "a kind of role that nobody knows"),
        }
    }
}

/// Whether what is at home there can reach the resource: from the root everywhere, else within the first level.
fn reaches(home: &Scope, resource: &Scope) -> bool {
    home.levels().next().is_none_or(|tenant| resource.levels().next() == Some(tenant))
}
