//! A world as plain lists, and the records of it written by hand: what is stored is part of what is tested.

use core_types::{Id, Limit, PermissionPattern, Restriction, Scope, Subject, UnixTime};
use iam_policy::testing::put;
use iam_policy::{BindingId, Directory, GroupId, Holder, PolicyId, RoleId, RoleRef, TrustId};
use state_store::{Key, Revision, Value};

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) subjects: Vec<SubjectFact>,
    pub(crate) groups: Vec<GroupFact>,
    pub(crate) roles: Vec<RoleFact>,
    pub(crate) members: Vec<MemberFact>,
    pub(crate) nestings: Vec<NestingFact>,
    pub(crate) bindings: Vec<BindingFact>,
    pub(crate) policies: Vec<PolicyFact>,
    pub(crate) boundaries: Vec<BoundaryFact>,
    pub(crate) trusts: Vec<TrustFact>,
    pub(crate) has_unknown_family: bool,
}

/// What has become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Readable,
    Unreadable,
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) struct SubjectFact {
    pub(crate) id: Subject,
    pub(crate) home: Scope,
    pub(crate) enabled: bool,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct GroupFact {
    pub(crate) id: GroupId,
    pub(crate) home: Scope,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct RoleFact {
    pub(crate) id: RoleId,
    pub(crate) home: Scope,
    pub(crate) patterns: Vec<PermissionPattern>,
    /// In order, each once.
    pub(crate) policies: Vec<PolicyId>,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct PolicyFact {
    pub(crate) id: PolicyId,
    pub(crate) home: Scope,
    pub(crate) statements: Vec<StatementFact>,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct StatementFact {
    pub(crate) is_deny: bool,
    pub(crate) patterns: Vec<PermissionPattern>,
    /// `None` is everywhere.
    pub(crate) scopes: Option<Vec<Scope>>,
    pub(crate) conditions: Vec<ConditionFact>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ConditionFact {
    pub(crate) not: bool,
    pub(crate) test: TestFact,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum TestFact {
    Mfa,
    /// Not before this millisecond.
    From(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct BoundaryFact {
    pub(crate) subject: Subject,
    pub(crate) limit: Restriction,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct TrustFact {
    pub(crate) id: TrustId,
    pub(crate) truster: Scope,
    pub(crate) trusted: Scope,
    pub(crate) limit: Restriction,
    pub(crate) accepted: bool,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberFact {
    pub(crate) group: GroupId,
    pub(crate) subject: Subject,
    pub(crate) fate: Fate,
}

/// That the inner group is in the outer one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NestingFact {
    pub(crate) outer: GroupId,
    pub(crate) inner: GroupId,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone)]
pub(crate) struct BindingFact {
    pub(crate) id: BindingId,
    pub(crate) role: RoleRef,
    pub(crate) holder: Holder,
    pub(crate) scope: Scope,
    pub(crate) expires_at: Limit<UnixTime>,
    pub(crate) fate: Fate,
}

impl World {
    /// What a store would hold, in the order of the lists.
    pub(crate) fn entries(&self) -> Vec<(Key, Value)> {
        let mut entries = Vec::new();
        let mut entry = |fate, key: String, kind: &str, data: String| {
            let value = match fate {
                Fate::Readable => format!(r#"{{"kind":"iam-policy/{kind}","version":1,"data":{data}}}"#),
                Fate::Unreadable => r#"{"kind":"iam-policy/from-the-future"}"#.to_owned(),
                Fate::Gone => return,
            };
            entries.push((Key::new(format!("iam-policy/{key}")).unwrap(), Value::new(value).unwrap()));
        };
        for SubjectFact { id, home, enabled, fate } in &self.subjects {
            let state = if *enabled { "enabled" } else { "disabled" };
            let data = format!(r#"{{"id":"{id}","name":"someone","home":"{home}","state":"{state}"}}"#);
            entry(*fate, format!("subject/{id}"), "subject", data);
        }
        for GroupFact { id, home, fate } in &self.groups {
            let data = format!(r#"{{"id":"{id}","name":"some","home":"{home}"}}"#);
            entry(*fate, format!("group/{id}"), "group", data);
        }
        for RoleFact { id, home, patterns, policies, fate } in &self.roles {
            let (patterns, policies) = (texts(patterns), texts(policies));
            let data = format!(
                r#"{{"id":"{id}","name":"role","home":"{home}","permissions":{patterns},"policies":{policies}}}"#
            );
            entry(*fate, format!("role/{id}"), "role", data);
        }
        for PolicyFact { id, home, statements, fate } in &self.policies {
            let statements: Vec<String> = statements.iter().map(statement).collect();
            let document = format!(r#"{{"statements":[{}]}}"#, statements.join(","));
            let data = format!(r#"{{"id":"{id}","name":"policy","home":"{home}","document":{document}}}"#);
            entry(*fate, format!("policy/{id}"), "policy", data);
        }
        for BoundaryFact { subject, limit, fate } in &self.boundaries {
            let data = format!(r#"{{"subject":"{subject}","limit":{}}}"#, restriction(limit));
            entry(*fate, format!("boundary/{subject}"), "boundary", data);
        }
        for TrustFact { id, truster, trusted, limit, accepted, fate } in &self.trusts {
            let (state, limit) = (if *accepted { "accepted" } else { "offered" }, restriction(limit));
            let data = format!(
                r#"{{"id":"{id}","truster":"{truster}","trusted":"{trusted}","limit":{limit},"state":"{state}"}}"#
            );
            entry(*fate, format!("trust/{id}"), "trust", data);
        }
        for MemberFact { group, subject, fate } in &self.members {
            let data = format!(r#"{{"group":"{group}","subject":"{subject}"}}"#);
            entry(*fate, format!("member/{group}/{subject}"), "membership", data);
        }
        for NestingFact { outer, inner, fate } in &self.nestings {
            let data = format!(r#"{{"group":"{outer}","inner":"{inner}"}}"#);
            entry(*fate, format!("nesting/{outer}/{inner}"), "nesting", data);
        }
        for BindingFact { id, role, holder, scope, expires_at, fate } in &self.bindings {
            let end = limit(*expires_at);
            let data = format!(
                r#"{{"id":"{id}","role":"{role}","holder":"{holder}","scope":"{scope}","expires_at":{end}}}"#
            );
            entry(*fate, format!("binding/{holder}/{id}"), "binding", data);
        }
        if self.has_unknown_family {
            entry(Fate::Unreadable, "denial/dny_1".to_owned(), "denial", String::new());
        }
        entries
    }

    pub(crate) fn directory(&self) -> Directory {
        directory_of(&self.entries())
    }
}

fn statement(fact: &StatementFact) -> String {
    let effect = if fact.is_deny { "deny" } else { "allow" };
    let scopes = match &fact.scopes {
        None => r#""unlimited""#.to_owned(),
        Some(scopes) => format!(r#"{{"only":{}}}"#, texts(scopes)),
    };
    let conditions: Vec<String> = fact
        .conditions
        .iter()
        .map(|ConditionFact { not, test }| {
            let test = match test {
                TestFact::Mfa => r#""mfa""#.to_owned(),
                TestFact::From(at) => format!(r#"{{"time":{{"from":{{"only":{at}}},"until":"unlimited"}}}}"#),
            };
            format!(r#"{{"not":{not},"test":{test}}}"#)
        })
        .collect();
    let (patterns, conditions) = (texts(&fact.patterns), conditions.join(","));
    format!(
        r#"{{"effect":"{effect}","permissions":{patterns},"scopes":{scopes},"conditions":[{conditions}]}}"#
    )
}

fn restriction(restriction: &Restriction) -> String {
    let grants = match restriction.grants() {
        Limit::Unlimited => r#""unlimited""#.to_owned(),
        Limit::Only(grants) => {
            let grants: Vec<String> = grants
                .iter()
                .map(|grant| {
                    format!(r#"{{"permissions":"{}","scope":"{}"}}"#, grant.permissions, grant.scope)
                })
                .collect();
            format!(r#"{{"only":[{}]}}"#, grants.join(","))
        }
    };
    format!(r#"{{"grants":{grants},"expires_at":{}}}"#, limit(restriction.expires_at()))
}

fn limit(limit: Limit<UnixTime>) -> String {
    match limit {
        Limit::Unlimited => r#""unlimited""#.to_owned(),
        Limit::Only(at) => format!(r#"{{"only":{at}}}"#),
    }
}

fn texts<T: std::fmt::Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!(r#""{value}""#)).collect();
    format!("[{}]", texts.join(","))
}

/// A directory that came to know of these one after the other.
pub(crate) fn directory_of(entries: &[(Key, Value)]) -> Directory {
    let mut directory = Directory::new();
    for (key, value) in entries {
        put(&mut directory, key, value, REVISION);
    }
    directory
}

pub(crate) fn user(number: u8) -> Subject {
    Subject::User(id(number))
}

pub(crate) fn id<K: core_types::IdKind>(number: u8) -> Id<K> {
    Id::from_bytes([number; 16])
}

pub(crate) const REVISION: Revision = Revision::new(7);
