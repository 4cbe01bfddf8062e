//! Stores with anything under the directory's keys.

use std::collections::BTreeMap;
use std::str::FromStr;

use core_types::{Permission, Principal, Restriction, Scope, Subject, UserId};
use iam_policy::record::{
    BindingRecord, BoundaryRecord, GroupRecord, MembershipRecord, NestingRecord, PolicyRecord, RoleRecord,
    SubjectRecord, SubjectState, TrustRecord,
};
use iam_policy::{
    AccessRequest, Allow, Authorizer, BindingId, Decision, DenyReason, Directory, Effect, GroupId, Holder,
    PREFIX, PatternSet, PolicyId, RoleRef, Truth,
};
use state_store::{Record, Value, record};

use crate::follow::{NOW, follow};

/// Whatever a store holds, nobody may do what no record grants, or what one denies.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn directory(input: &[u8]) -> bool {
    let Some(stores) = follow::<Directory>(input, PREFIX) else { return false };
    let [followed, rebuilt] = [&stores.followed, &stores.rebuilt].map(|replica| replica.snapshot());
    let entries = Entries { entries: &stores.entries };
    let permissions: [Permission; 3] =
        ["apps:read", "compute:start", "iam:write"].map(|text| text.parse().unwrap());
    let resources: [Scope; 4] = ["/", "org/a", "org/a/project/b", "org/c"].map(|text| text.parse().unwrap());
    let (unrestricted, nothing) = (Restriction::unrestricted(), Restriction::nothing());
    let (less, more) = super::contexts();
    let mut is_anything_allowed = false;
    for subject in entries.subjects() {
        let principal = Principal::subject(subject);
        let places =
            permissions.iter().flat_map(|permission| resources.iter().map(move |at| (permission, at)));
        for ((permission, resource), context) in places.flat_map(|place| [(place, &less), (place, &more)]) {
            let request = AccessRequest::new(&principal, &unrestricted, permission, resource, NOW)
                .with_context(context);
            let decision = Authorizer::of(&followed).authorize(&request);
            assert_eq!(decision, Authorizer::of(&rebuilt).authorize(&request));
            if let Decision::Allow(allow) = &decision {
                entries.assert_grants(allow, subject, &request);
                entries.assert_denies_not(subject, &request);
                is_anything_allowed = true;
            }
            if entries.has_unknown_family() {
                assert!(
                    matches!(&decision, Decision::Deny(deny) if deny.reason == DenyReason::UnreadablePolicy)
                );
            }
            let restricted =
                AccessRequest::new(&principal, &nothing, permission, resource, NOW).with_context(context);
            assert!(matches!(Authorizer::of(&followed).authorize(&restricted), Decision::Deny(_)));
        }
    }
    is_anything_allowed
}

/// What the store holds in the end, each record read by itself.
struct Entries<'a> {
    entries: &'a BTreeMap<String, String>,
}

/// What stands under a key.
enum Found<R> {
    Nothing,
    Unreadable,
    Record(R),
}

#[expect(clippy::unwrap_used, clippy::panic, reason = "a link that is missing is a wrong answer")]
impl Entries<'_> {
    /// Everyone who is named in a key, and a stranger.
    fn subjects(&self) -> Vec<Subject> {
        let named = self.entries.keys().flat_map(|key| key.split('/')).filter_map(|part| part.parse().ok());
        let mut subjects: Vec<Subject> = named.chain([Subject::User(UserId::from_bytes([0; 16]))]).collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    fn has_unknown_family(&self) -> bool {
        let families = [
            "subject",
            "group",
            "role",
            "policy",
            "boundary",
            "member",
            "binding",
            "break-glass",
            "stamp",
            "joined",
            "nesting",
            "trust",
        ];
        self.entries.keys().filter_map(|key| key.strip_prefix(PREFIX)).any(|key| {
            !["started", "forbidding", "nested"].contains(&key)
                && key.split_once('/').is_none_or(|(family, _)| !families.contains(&family))
        })
    }

    fn find<R: Record>(&self, key: &str, is_its_own: impl FnOnce(&R) -> bool) -> Found<R> {
        match self.entries.get(&format!("{PREFIX}{key}")) {
            None => Found::Nothing,
            Some(value) => match record::decode::<R>(&Value::new(value).unwrap()) {
                Ok(record) if is_its_own(&record) => Found::Record(record),
                _ => Found::Unreadable,
            },
        }
    }

    fn record<R: Record>(&self, key: &str, is_its_own: impl FnOnce(&R) -> bool) -> R {
        match self.find(key, is_its_own) {
            Found::Record(record) => record,
            Found::Nothing | Found::Unreadable => panic!("allowed without {key}"),
        }
    }

    /// The second parts of the keys that begin so.
    fn below<T: FromStr>(&self, prefix: &str) -> Vec<T> {
        let prefix = format!("{PREFIX}{prefix}/");
        self.entries.keys().filter_map(|key| key.strip_prefix(&prefix)?.parse().ok()).collect()
    }

    /// Every link of the chain from the subject to the permission stands in the store.
    fn assert_grants(&self, allow: &Allow, subject: Subject, request: &AccessRequest<'_>) {
        let (permission, resource) = (request.permission, request.resource);
        let who: SubjectRecord =
            self.record(&format!("subject/{subject}"), |record: &SubjectRecord| record.id == subject);
        assert!(who.state == SubjectState::Enabled);
        let may_enter = match allow.trust() {
            None => reaches(&who.home, resource),
            Some(id) => {
                let trust: TrustRecord =
                    self.record(&format!("trust/{id}"), |record: &TrustRecord| record.id == id);
                assert!(trust.is_in_force(NOW) && trust.limit.allows(permission, resource, NOW));
                assert!(trust.truster.depth() == 1 && trust.trusted.depth() == 1);
                trust.truster.contains(resource) && trust.trusted.contains(&who.home)
            }
        };
        assert!(may_enter);
        let holder = allow.via().map_or(Holder::Subject(subject), Holder::Group);
        let is_it = |record: &BindingRecord| record.id == allow.binding() && record.holder == holder;
        let binding: BindingRecord = self.record(&format!("binding/{holder}/{}", allow.binding()), is_it);
        assert_eq!((binding.role, &binding.scope), (allow.role(), &allow.scope(resource)));
        assert!(
            binding.scope.contains(resource)
                && !binding.is_expired(NOW)
                && (reaches(&who.home, &binding.scope)
                    || allow.trust().is_some() && binding.scope.depth() > 0)
        );
        if let Some(group) = allow.via() {
            let record: GroupRecord =
                self.record(&format!("group/{group}"), |record: &GroupRecord| record.id == group);
            let is_kin = allow.trust().is_some() && record.home.levels().next() == who.home.levels().next();
            assert!(reaches(&record.home, &binding.scope) || is_kin);
            assert!(self.is_within(subject, group), "allowed by a group that it is not in");
        }
        let role = match binding.role {
            RoleRef::Custom(id) => {
                let role: RoleRecord =
                    self.record(&format!("role/{id}"), |record: &RoleRecord| record.id == id);
                assert!(role.home.contains(&binding.scope));
                Some(role)
            }
            _ => None,
        };
        match (allow.statement(), binding.role, role) {
            (None, RoleRef::BuiltIn(role), _) => {
                let patterns = role.permissions().iter().map(|text| text.parse().unwrap());
                assert!(PatternSet::new(patterns).unwrap().matches(permission));
            }
            (None, _, Some(role)) => {
                assert!(role.permissions.iter().any(|pattern| pattern.matches(permission)))
            }
            (Some(said), bound, role) => {
                let is_attached = role.is_some_and(|role| role.policies.contains(&said.policy));
                assert!(is_attached || bound == RoleRef::Policy(said.policy));
                let policy: PolicyRecord = self
                    .record(&format!("policy/{}", said.policy), |record: &PolicyRecord| {
                        record.id == said.policy
                    });
                assert!(policy.home.contains(&binding.scope));
                let statement = policy.document.statements().get(said.index).unwrap();
                assert_eq!(statement.effect(), Effect::Allow);
                assert!(statement.concerns(permission, resource));
                assert_eq!(statement.holds(request.context, NOW), Truth::True);
            }
            other => panic!("allowed by nothing: {other:?}"),
        }
    }

    /// Whether readable records say that the subject is in the group, by groups of one tenant, and that none of these
    /// is in itself.
    fn is_within(&self, subject: Subject, group: GroupId) -> bool {
        let mut below = vec![group];
        let mut at = 0;
        while let Some(here) = below.get(at).copied() {
            at = at.saturating_add(1);
            let Some(record) = self.group(here) else { continue };
            let is_it = |record: &MembershipRecord| record.group == here && record.subject == subject;
            if let Found::Record(_) = self.find(&format!("member/{here}/{subject}"), is_it) {
                return true;
            }
            for inner in self.below::<GroupId>(&format!("nesting/{here}")) {
                let is_it = |record: &NestingRecord| record.group == here && record.inner == inner;
                let nesting = self.find(&format!("nesting/{here}/{inner}"), is_it);
                let is_kin = self
                    .group(inner)
                    .is_some_and(|inner| inner.home.levels().next() == record.home.levels().next());
                if matches!(nesting, Found::Record(_)) && is_kin && !below.contains(&inner) {
                    below.push(inner);
                }
            }
        }
        false
    }

    fn group(&self, id: GroupId) -> Option<GroupRecord> {
        match self.find(&format!("group/{id}"), |record: &GroupRecord| record.id == id) {
            Found::Record(group) => Some(group),
            Found::Nothing | Found::Unreadable => None,
        }
    }

    /// The groups that the subject is in as far as anybody can know: by whatever stands there, readable or not, where a
    /// group is not known to be of another tenant than the one before.
    fn may_be_in(&self, subject: Subject) -> Vec<GroupId> {
        let exists = |group: &GroupId| self.entries.contains_key(&format!("{PREFIX}group/{group}"));
        let groups = self.below::<GroupId>("group");
        let is_member =
            |group: &GroupId| self.entries.contains_key(&format!("{PREFIX}member/{group}/{subject}"));
        let mut all: Vec<GroupId> = groups.iter().copied().filter(is_member).collect();
        let mut at = 0;
        while let Some(here) = all.get(at).copied() {
            at = at.saturating_add(1);
            // Where the tenant of the way is not known, this says too little, and asserts less.
            let Some(record) = self.group(here) else { continue };
            for outer in groups.iter().filter(|outer| exists(outer)) {
                let is_nested = self.entries.contains_key(&format!("{PREFIX}nesting/{outer}/{here}"));
                let is_kin = self
                    .group(*outer)
                    .is_some_and(|outer| outer.home.levels().next() == record.home.levels().next());
                if is_nested && is_kin && !all.contains(outer) {
                    all.push(*outer);
                }
            }
        }
        all
    }

    /// No record that can be read denies it, and of those that cannot, none may have done so.
    fn assert_denies_not(&self, subject: Subject, request: &AccessRequest<'_>) {
        match self.find(&format!("boundary/{subject}"), |record: &BoundaryRecord| record.subject == subject) {
            Found::Nothing => {}
            Found::Unreadable => panic!("allowed past an unreadable boundary"),
            Found::Record(boundary) => {
                assert!(boundary.limit.allows(request.permission, request.resource, NOW));
            }
        }
        let who: SubjectRecord =
            self.record(&format!("subject/{subject}"), |record: &SubjectRecord| record.id == subject);
        let groups = self.may_be_in(subject);
        // Who is in a group that is in itself may do nothing where that counts.
        for group in &groups {
            let is_nested_in_itself = self.entries.contains_key(&format!("{PREFIX}nesting/{group}/{group}"));
            let home = self.group(*group).map(|group| group.home);
            let counts = home.is_some_and(|home| reaches(&home, request.resource));
            assert!(!is_nested_in_itself || !counts, "allowed past a circle of groups");
        }
        let holders = groups.into_iter().map(Holder::Group).chain([Holder::Subject(subject)]);
        for holder in holders {
            let group = match holder {
                Holder::Group(id) => {
                    match self.find(&format!("group/{id}"), |record: &GroupRecord| record.id == id) {
                        Found::Record(group) => Some(group),
                        Found::Nothing | Found::Unreadable => None,
                    }
                }
                _ => None,
            };
            let can_reach = |scope: &Scope| {
                reaches(&who.home, scope) && group.as_ref().is_none_or(|group| reaches(&group.home, scope))
            };
            for id in self.below::<BindingId>(&format!("binding/{holder}")) {
                let is_it = |record: &BindingRecord| record.id == id && record.holder == holder;
                match self.find(&format!("binding/{holder}/{id}"), is_it) {
                    Found::Nothing => {}
                    Found::Unreadable => {
                        assert!(!can_reach(request.resource), "allowed past an unreadable binding")
                    }
                    Found::Record(binding) => {
                        let is_here = binding.scope.contains(request.resource) && can_reach(&binding.scope);
                        if is_here && !binding.is_expired(NOW) {
                            self.assert_binding_denies_not(&binding, request);
                        }
                    }
                }
            }
        }
    }

    fn assert_binding_denies_not(&self, binding: &BindingRecord, request: &AccessRequest<'_>) {
        let policies: Vec<PolicyId> = match binding.role {
            RoleRef::Policy(id) => vec![id],
            RoleRef::Custom(id) => {
                match self.find(&format!("role/{id}"), |record: &RoleRecord| record.id == id) {
                    Found::Record(role) if role.home.contains(&binding.scope) => {
                        role.policies.into_iter().collect()
                    }
                    Found::Nothing | Found::Record(_) => Vec::new(),
                    Found::Unreadable => panic!("allowed past an unreadable role"),
                }
            }
            _ => Vec::new(),
        };
        for id in policies {
            match self.find(&format!("policy/{id}"), |record: &PolicyRecord| record.id == id) {
                Found::Nothing => {}
                Found::Unreadable => panic!("allowed past an unreadable policy"),
                Found::Record(policy) if !policy.home.contains(&binding.scope) => {}
                Found::Record(policy) => {
                    let is_denied = policy.document.statements().iter().any(|statement| {
                        statement.effect() == Effect::Deny
                            && statement.concerns(request.permission, request.resource)
                            && statement.holds(request.context, NOW) != Truth::False
                    });
                    assert!(!is_denied, "allowed past a statement that denies");
                }
            }
        }
    }
}

/// Whether what is at home there can reach the scope: from the root everywhere, else within the first level.
fn reaches(home: &Scope, scope: &Scope) -> bool {
    home.levels().next().is_none_or(|tenant| scope.levels().next() == Some(tenant))
}
