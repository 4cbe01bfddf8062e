//! Putting together a directory of our own.

use std::collections::BTreeMap;

use core_types::{
    Id, IdKind, Permission, PermissionPattern, Scope, SecureRandom, ServiceAccountId, UnixTime, UserId,
};
use iam_policy::document::DirectoryDocument;
use iam_policy::{BindingId, GroupId, PolicyDocument, PolicyId, RoleId};
use serde_json::{Value, json};

use crate::error::ImportError;
use crate::report::Report;

/// A directory of our own, and what became of the source on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Translation {
    /// Roles, policies, and, where the source has them, subjects, groups and bindings; all with new ids.
    pub document: DirectoryDocument,
    /// The new id of each name of the source: `user alice`, `group ops`, `role admin`, ….
    pub ids: BTreeMap<String, String>,
    /// What became of each statement, rule or row: what cannot be said exactly allows less, or denies more.
    pub report: Report,
}

pub(crate) struct Builder<'a> {
    home: &'a Scope,
    now: UnixTime,
    random: &'a dyn SecureRandom,
    ids: BTreeMap<String, String>,
    lists: BTreeMap<&'static str, Vec<Value>>,
}

impl<'a> Builder<'a> {
    pub(crate) const fn new(home: &'a Scope, now: UnixTime, random: &'a dyn SecureRandom) -> Self {
        Self { home, now, random, ids: BTreeMap::new(), lists: BTreeMap::new() }
    }

    /// The id of `kind` and `name`, which was given before.
    pub(crate) fn id(&self, kind: &str, name: &str) -> Option<&str> {
        self.ids.get(&format!("{kind} {name}")).map(String::as_str)
    }

    pub(crate) fn user(&mut self, name: &str) -> Result<String, ImportError> {
        let id: UserId = self.random_id()?;
        Ok(self.subject("user", name, id.to_string()))
    }

    pub(crate) fn service_account(&mut self, name: &str) -> Result<String, ImportError> {
        let id: ServiceAccountId = self.random_id()?;
        Ok(self.subject("service account", name, id.to_string()))
    }

    pub(crate) fn group(&mut self, name: &str) -> Result<String, ImportError> {
        if let Some(id) = self.id("group", name) {
            return Ok(id.to_owned());
        }
        let id: GroupId = self.random_id()?;
        let id = self.named("group", name, id.to_string());
        let record = json!({"id": id, "name": label(name), "home": self.home});
        self.push("groups", record);
        Ok(id)
    }

    pub(crate) fn role(
        &mut self,
        name: &str,
        home: &Scope,
        permissions: &[PermissionPattern],
        policies: &[String],
    ) -> Result<String, ImportError> {
        let id: RoleId = self.random_id()?;
        let id = self.named("role", name, id.to_string());
        let permissions: Vec<String> = permissions.iter().map(PermissionPattern::to_string).collect();
        let record = json!({"id": id, "name": label(name), "home": home, "permissions": permissions, "policies": policies});
        self.push("roles", record);
        Ok(id)
    }

    pub(crate) fn policy(&mut self, name: &str, document: &PolicyDocument) -> Result<String, ImportError> {
        let id: PolicyId = self.random_id()?;
        let id = self.named("policy", name, id.to_string());
        let record = json!({"id": id, "name": label(name), "home": self.home, "document": document});
        self.push("policies", record);
        Ok(id)
    }

    pub(crate) fn bind(&mut self, role: &str, holder: &str, scope: &Scope) -> Result<(), ImportError> {
        let id: BindingId = self.random_id()?;
        let record = json!({"id": id.to_string(), "role": role, "holder": holder, "scope": scope, "expires_at": "unlimited"});
        self.push("bindings", record);
        Ok(())
    }

    pub(crate) fn finish(self, report: Report) -> Result<Translation, ImportError> {
        let mut document = json!({"version": 1});
        if let Some(map) = document.as_object_mut() {
            map.extend(self.lists.into_iter().map(|(name, list)| (name.to_owned(), Value::Array(list))));
        }
        let document = DirectoryDocument::parse(document.to_string().as_bytes())
            .map_err(|error| ImportError::unsupported("the translation", error.to_string()))?;
        Ok(Translation { document, ids: self.ids, report })
    }

    fn subject(&mut self, kind: &str, name: &str, new: String) -> String {
        if let Some(id) = self.id(kind, name) {
            return id.to_owned();
        }
        let id = self.named(kind, name, new);
        let record = json!({"id": id, "name": label(name), "home": self.home, "state": "enabled"});
        self.push("subjects", record);
        id
    }

    fn named(&mut self, kind: &str, name: &str, id: String) -> String {
        self.ids.insert(format!("{kind} {name}"), id.clone());
        id
    }

    fn random_id<K: IdKind>(&self) -> Result<Id<K>, ImportError> {
        Id::generate(self.now, self.random)
            .map_err(|error| ImportError::unsupported("the translation", error.to_string()))
    }

    fn push(&mut self, list: &'static str, record: Value) {
        self.lists.entry(list).or_default().push(record);
    }
}

/// The name as a label: labels decide nothing.
fn label(name: &str) -> String {
    let symbol =
        |symbol: char| if symbol.is_ascii_alphanumeric() || "@_+-.".contains(symbol) { symbol } else { '-' };
    let text: String =
        name.chars().map(symbol).skip_while(|symbol| !symbol.is_ascii_alphanumeric()).take(128).collect();
    if text.is_empty() { "unnamed".to_owned() } else { text }
}

/// `service:verb`, where both are names of ours. `iam:*` is left to those who administer.
pub(crate) fn permission(service: &str, verb: &str) -> Option<Permission> {
    Permission::new(service, verb).ok().filter(|permission| permission.service() != "iam")
}
