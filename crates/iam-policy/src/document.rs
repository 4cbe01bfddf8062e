//! A whole directory, a question and an answer as JSON (RFC 8259), for files, pipes and programs in other languages.
//!
//! # A directory
//! One object. Every list may be left out, which is the same as empty; in the records of [`record`](crate::record),
//! every field is there. Times are milliseconds since 1970-01-01T00:00:00Z.
//!
//! ```
//! use iam_policy::document::DirectoryDocument;
//! let text = r#"{"version": 1,
//!   "subjects": [{"id": "usr_00000000000000000000000001", "name": "alice", "home": "/", "state": "enabled"}],
//!   "groups": [{"id": "grp_00000000000000000000000001", "name": "web-team", "home": "/"},
//!     {"id": "grp_00000000000000000000000002", "name": "everyone", "home": "/"}],
//!   "roles": [{"id": "rol_00000000000000000000000001", "name": "deployer", "home": "/",
//!     "permissions": ["apps:*"], "policies": []}],
//!   "policies": [{"id": "pol_00000000000000000000000001", "name": "careful", "home": "/", "document": {"statements": [
//!     {"effect": "deny", "permissions": ["*:delete"], "scopes": "unlimited",
//!      "conditions": [{"not": true, "test": "mfa"}]}]}}],
//!   "memberships": [{"group": "grp_00000000000000000000000001", "subject": "usr_00000000000000000000000001"}],
//!   "nestings": [{"group": "grp_00000000000000000000000002", "inner": "grp_00000000000000000000000001"}],
//!   "bindings": [
//!     {"id": "bnd_00000000000000000000000001", "role": "rol_00000000000000000000000001",
//!      "holder": "grp_00000000000000000000000001", "scope": "project/web", "expires_at": "unlimited"},
//!     {"id": "bnd_00000000000000000000000002", "role": "pol_00000000000000000000000001",
//!      "holder": "usr_00000000000000000000000001", "scope": "/", "expires_at": {"only": 4102444800000}}],
//!   "boundaries": [{"subject": "usr_00000000000000000000000001", "limit":
//!     {"grants": {"only": [{"permissions": "apps:*", "scope": "project/web"}]}, "expires_at": "unlimited"}}],
//!   "trusts": [{"id": "trs_00000000000000000000000001", "truster": "org/acme", "trusted": "org/help", "limit":
//!     {"grants": {"only": [{"permissions": "*:read", "scope": "org/acme"}]}, "expires_at": {"only": 4102444800000}},
//!     "state": "accepted"}],
//!   "registry": [{"permission": "apps:read", "access": "read"}, {"permission": "apps:delete", "access": "write"}]
//! }"#;
//! let document = DirectoryDocument::parse(text.as_bytes())?;
//! assert_eq!(document.directory().subjects().count(), 1);
//! assert_eq!(DirectoryDocument::parse(document.to_json().as_bytes())?, document);
//! # Ok::<(), iam_policy::DocumentError>(())
//! ```
//!
//! # A question and its answer
//! See [`RequestDocument`] and [`AnswerDocument`].

mod answer;
mod nesting;
mod request;
mod strict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use state_store::Revision;

pub use self::answer::{AnswerDocument, Outcome, Reason};
pub use self::request::{MAX_REQUEST_BYTES, RequestDocument};
use crate::directory::Directory;
use crate::error::DocumentError;
use crate::plan::{
    MAX_BINDINGS_PER_HOLDER, MAX_GROUPS_PER_SUBJECT, MAX_MEMBERS_PER_GROUP, MAX_POLICIES_PER_ROLE,
    MAX_TRUSTS_BETWEEN,
};
use crate::record::{
    BindingRecord, BoundaryRecord, GroupRecord, MembershipRecord, NestingRecord, PolicyRecord, RoleRecord,
    SubjectRecord, TrustRecord,
};
use crate::registry::Registry;

/// The most bytes the document of a directory has: some 500,000 subjects with a binding each.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024 * 1024;

/// The most permissions a document's registry lists.
pub const MAX_REGISTRY: usize = 65_536;

/// What a document lists; in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Records {
    /// Who can hold rights.
    pub subjects: Vec<SubjectRecord>,
    /// Groups.
    pub groups: Vec<GroupRecord>,
    /// Roles.
    pub roles: Vec<RoleRecord>,
    /// Policies.
    pub policies: Vec<PolicyRecord>,
    /// Who is in which group.
    pub memberships: Vec<MembershipRecord>,
    /// Which group is in which.
    pub nestings: Vec<NestingRecord>,
    /// What is given to whom.
    pub bindings: Vec<BindingRecord>,
    /// What subjects may do at most.
    pub boundaries: Vec<BoundaryRecord>,
    /// Which tenants let in which.
    pub trusts: Vec<TrustRecord>,
}

/// All that a directory decides by, as a document.
///
/// A record may name another one that is not there: a role that was deleted and is still bound says nothing, and
/// [`lint`](Directory::lint) finds it. No two records are about the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryDocument {
    // INVARIANT: sorted, each once, within the bounds of `plan`.
    records: Records,
    registry: Option<Registry>,
}

impl DirectoryDocument {
    /// The document of these records, and of the permissions that the program knows.
    ///
    /// # Errors
    /// [`DocumentError::Repeated`], [`DocumentError::Circle`] and [`DocumentError::TooMany`].
    pub fn new(mut records: Records, registry: Option<Registry>) -> Result<Self, DocumentError> {
        sort(&mut records.subjects, "subject", |record| record.id)?;
        sort(&mut records.groups, "group", |record| record.id)?;
        sort(&mut records.roles, "role", |record| record.id)?;
        sort(&mut records.policies, "policy", |record| record.id)?;
        sort(&mut records.memberships, "membership", |record| (record.group, record.subject))?;
        sort(&mut records.nestings, "nesting", |record| (record.group, record.inner))?;
        nesting::from_the_top(&records.nestings)?;
        sort(&mut records.bindings, "binding", |record| record.id)?;
        sort(&mut records.boundaries, "boundary", |record| record.subject)?;
        sort(&mut records.trusts, "trust", |record| record.id)?;
        let pairs = records.trusts.iter().map(|record| (&record.truster, &record.trusted));
        bound(pairs, "trusts of two tenants", MAX_TRUSTS_BETWEEN)?;
        let holders = records.bindings.iter().map(|record| record.holder);
        bound(holders, "bindings of one holder", MAX_BINDINGS_PER_HOLDER)?;
        let members = records.memberships.iter();
        bound(members.clone().map(|record| record.group), "members of one group", MAX_MEMBERS_PER_GROUP)?;
        bound(members.map(|record| record.subject), "groups of one subject", MAX_GROUPS_PER_SUBJECT)?;
        if records.roles.iter().any(|role| role.policies.len() > MAX_POLICIES_PER_ROLE) {
            return Err(DocumentError::TooMany {
                what: "policies of one role",
                limit: MAX_POLICIES_PER_ROLE,
            });
        }
        if registry.as_ref().is_some_and(|registry| registry.iter().count() > MAX_REGISTRY) {
            return Err(DocumentError::TooMany { what: "permissions in the registry", limit: MAX_REGISTRY });
        }
        Ok(Self { records, registry })
    }

    /// The document of this text. An array is not taken for an object, no field is unknown or there twice, and
    /// nothing follows.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge { limit: MAX_DOCUMENT_BYTES });
        }
        let raw: Raw = strict::from_json(bytes)?;
        if raw.version != VERSION {
            return Err(DocumentError::Version { found: raw.version, known: VERSION });
        }
        let Raw {
            version: _,
            subjects,
            groups,
            roles,
            policies,
            memberships,
            nestings,
            bindings,
            boundaries,
            trusts,
            registry,
        } = raw;
        let records = Records {
            subjects,
            groups,
            roles,
            policies,
            memberships,
            nestings,
            bindings,
            boundaries,
            trusts,
        };
        Self::new(records, registry)
    }

    /// The text: always the same for the same document, one line a record.
    ///
    /// # Panics
    /// Never: every record has a JSON form.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Records {
            subjects,
            groups,
            roles,
            policies,
            memberships,
            nestings,
            bindings,
            boundaries,
            trusts,
        } = &self.records;
        let mut text = format!("{{\"version\": {VERSION}");
        write_list(&mut text, "subjects", subjects);
        write_list(&mut text, "groups", groups);
        write_list(&mut text, "roles", roles);
        write_list(&mut text, "policies", policies);
        write_list(&mut text, "memberships", memberships);
        if !nestings.is_empty() {
            write_list(&mut text, "nestings", nestings);
        }
        write_list(&mut text, "bindings", bindings);
        write_list(&mut text, "boundaries", boundaries);
        if !trusts.is_empty() {
            write_list(&mut text, "trusts", trusts);
        }
        if let Some(registry) = &self.registry {
            write_list(&mut text, "registry", &registry.entries());
        }
        text.push_str("\n}\n");
        text
    }

    /// The document of all that the directory decides by: without what only a store needs (stamps, and the mark of
    /// the first start), and without records of broken glass.
    ///
    /// # Errors
    /// [`DocumentError::Unreadable`] when a record is: a document cannot say that. [`DocumentError::Circle`] and
    /// [`DocumentError::TooMany`] when what is stored was not written by a [`Planner`](crate::Planner).
    pub fn of(directory: &Directory) -> Result<Self, DocumentError> {
        if directory.has_unreadable() {
            return Err(DocumentError::Unreadable);
        }
        let memberships = directory.memberships().map(|(group, subject)| MembershipRecord { group, subject });
        let boundaries = directory.boundaries();
        let records = Records {
            subjects: directory.subjects().cloned().collect(),
            groups: directory.groups().cloned().collect(),
            roles: directory.roles().cloned().collect(),
            policies: directory.policies().cloned().collect(),
            memberships: memberships.collect(),
            nestings: directory.nestings().collect(),
            bindings: directory.bindings().cloned().collect(),
            boundaries: boundaries.cloned().collect(),
            trusts: directory.trusts().cloned().collect(),
        };
        Self::new(records, None)
    }

    /// The directory that decides by it.
    #[must_use]
    pub fn directory(&self) -> Directory {
        let mut directory = Directory::new();
        let Records {
            subjects,
            groups,
            roles,
            policies,
            memberships,
            nestings,
            bindings,
            boundaries,
            trusts,
        } = &self.records;
        let at = Revision::ZERO;
        subjects.iter().for_each(|record| directory.set_subject(record.clone(), at));
        groups.iter().for_each(|record| directory.set_group_record(record.clone(), at));
        policies.iter().for_each(|record| directory.set_policy_record(record.clone(), at));
        roles.iter().for_each(|record| directory.set_role_record(record.clone(), at));
        // From the top, so that each is worked out once.
        let nestings = nesting::from_the_top(nestings).unwrap_or_else(|_| nestings.clone());
        nestings.into_iter().for_each(|record| directory.set_nesting(record, at));
        memberships.iter().for_each(|record| directory.set_membership(*record, at));
        bindings.iter().for_each(|record| directory.set_binding(record.clone(), at));
        boundaries.iter().for_each(|record| directory.set_boundary_record(record.clone(), at));
        trusts.iter().for_each(|record| directory.set_trust(record.clone(), at));
        directory.started = true;
        directory
    }

    /// What it lists, sorted.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// The permissions that the program knows, where it says.
    #[must_use]
    pub const fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }
}

fn sort<T, K: Ord + core::fmt::Debug>(
    records: &mut [T],
    what: &'static str,
    key: impl Fn(&T) -> K,
) -> Result<(), DocumentError> {
    records.sort_unstable_by_key(&key);
    let twice = records.windows(2).find(|pair| matches!(pair, [a, b] if key(a) == key(b)));
    match twice.and_then(<[T]>::first) {
        None => Ok(()),
        Some(record) => Err(DocumentError::Repeated { what, id: format!("{:?}", key(record)).into() }),
    }
}

fn bound<K: Ord>(
    keys: impl Iterator<Item = K>,
    what: &'static str,
    limit: usize,
) -> Result<(), DocumentError> {
    let mut counts: BTreeMap<K, usize> = BTreeMap::new();
    for key in keys {
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
        if *count > limit {
            return Err(DocumentError::TooMany { what, limit });
        }
    }
    Ok(())
}

fn write_list<T: Serialize>(text: &mut String, name: &str, records: &[T]) {
    text.push_str(",\n\"");
    text.push_str(name);
    text.push_str("\": [");
    let mut separator = "\n  ";
    for record in records {
        text.push_str(separator);
        separator = ",\n  ";
        match serde_json::to_string(record) {
            Ok(record) => text.push_str(&record),
            Err(error) => unreachable!("every record has a JSON form: {error}"),
        }
    }
    text.push(']');
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    #[serde(default)]
    subjects: Vec<SubjectRecord>,
    #[serde(default)]
    groups: Vec<GroupRecord>,
    #[serde(default)]
    roles: Vec<RoleRecord>,
    #[serde(default)]
    policies: Vec<PolicyRecord>,
    #[serde(default)]
    memberships: Vec<MembershipRecord>,
    #[serde(default)]
    nestings: Vec<NestingRecord>,
    #[serde(default)]
    bindings: Vec<BindingRecord>,
    #[serde(default)]
    boundaries: Vec<BoundaryRecord>,
    #[serde(default)]
    trusts: Vec<TrustRecord>,
    #[serde(default, deserialize_with = "said")]
    registry: Option<Registry>,
}

/// What is there is said: `null` is nothing.
fn said<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

const VERSION: u32 = 1;
