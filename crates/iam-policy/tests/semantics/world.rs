//! A world as plain lists, and the records of it written by hand: what is stored is part of what is tested.

use core_types::{Id, Limit, PermissionPattern, Scope, Subject, UnixTime};
use iam_policy::testing::put;
use iam_policy::{BindingId, Directory, GroupId, Holder, RoleId, RoleRef};
use state_store::{Key, Revision, Value};

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) subjects: Vec<SubjectFact>,
    pub(crate) groups: Vec<GroupFact>,
    pub(crate) roles: Vec<RoleFact>,
    pub(crate) members: Vec<MemberFact>,
    pub(crate) bindings: Vec<BindingFact>,
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
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberFact {
    pub(crate) group: GroupId,
    pub(crate) subject: Subject,
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
        for RoleFact { id, home, patterns, fate } in &self.roles {
            let patterns: Vec<String> = patterns.iter().map(|pattern| format!(r#""{pattern}""#)).collect();
            let patterns = patterns.join(",");
            let data = format!(r#"{{"id":"{id}","name":"role","home":"{home}","permissions":[{patterns}]}}"#);
            entry(*fate, format!("role/{id}"), "role", data);
        }
        for MemberFact { group, subject, fate } in &self.members {
            let data = format!(r#"{{"group":"{group}","subject":"{subject}"}}"#);
            entry(*fate, format!("member/{group}/{subject}"), "membership", data);
        }
        for BindingFact { id, role, holder, scope, expires_at, fate } in &self.bindings {
            let end = match expires_at {
                Limit::Unlimited => r#""unlimited""#.to_owned(),
                Limit::Only(at) => format!(r#"{{"only":{at}}}"#),
            };
            let data = format!(
                r#"{{"id":"{id}","role":"{role}","holder":"{holder}","scope":"{scope}","expires_at":{end}}}"#
            );
            entry(*fate, format!("binding/{id}"), "binding", data);
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
