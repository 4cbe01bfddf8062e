use core::fmt;
use std::collections::BTreeMap;

use super::MAX_OBJECTS;
use super::label::{Selector, labels};
use super::request::Request;
use super::rule::Rule;
use crate::error::ImportError;
use crate::report::{Fidelity, Report};
use crate::source::{SourceFile, shown};
use crate::value::{Map, Value};
use crate::yaml;

/// What a role is called; without a namespace it is a cluster role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoleName {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) rules: Vec<Rule>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) aggregation: Option<Vec<Selector>>,
}

#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) place: String,
    /// `None` for a cluster role binding.
    pub(super) namespace: Option<String>,
    pub(super) role: RoleName,
    pub(super) subjects: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            None => write!(f, "ClusterRole {}", shown(&self.name)),
            Some(namespace) => write!(f, "Role {}", shown(&format!("{namespace}/{}", self.name))),
        }
    }
}

impl Binding {
    /// Whether it counts where the request is, and for who asks.
    pub(super) fn concerns(&self, request: &Request) -> bool {
        let is_here = self.namespace.as_deref().is_none_or(|own| own == request.namespace());
        is_here && self.subjects.iter().any(|subject| subject.is(request))
    }
}

impl Subject {
    fn is(&self, request: &Request) -> bool {
        match self {
            Self::User(name) => request.user() == name,
            Self::Group(name) => request.has_group(name),
            Self::ServiceAccount { namespace, name } => {
                let account = request.user().strip_prefix("system:serviceaccount:");
                account.and_then(|account| account.split_once(':')) == Some((namespace, name))
            }
        }
    }

    fn read(value: &Value, binding: Option<&str>) -> Result<Self, String> {
        let map = value.as_map().ok_or_else(|| "a subject is a mapping".to_owned())?;
        let text = |field: &str| map.get(field).and_then(Value::as_text).unwrap_or_default();
        if let Some(key) =
            map.keys().find(|key| !["kind", "name", "namespace", "apiGroup"].contains(&key.as_str()))
        {
            return Err(format!("no field of a subject: {}", shown(key)));
        }
        let name = Some(text("name")).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| "a subject without a name".to_owned())?.to_owned();
        match (text("kind"), text("apiGroup")) {
            ("User", "" | API_GROUP) => Ok(Self::User(name)),
            ("Group", "" | API_GROUP) => Ok(Self::Group(name)),
            ("ServiceAccount", "") => match (text("namespace"), binding) {
                ("", None) => Err("a service account without a namespace".to_owned()),
                ("", Some(namespace)) | (namespace, _) => {
                    Ok(Self::ServiceAccount { namespace: namespace.to_owned(), name })
                }
            },
            _ => Err("a subject of an unknown kind or API group".to_owned()),
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) roles: BTreeMap<RoleName, Role>,
    pub(super) bindings: Vec<Binding>,
    pub(super) report: Report,
}

impl Objects {
    pub(super) fn read(&mut self, file: &SourceFile<'_>) -> Result<(), ImportError> {
        let text = file.text()?;
        // JSON is YAML, but its own reader knows its numbers and is faster.
        let documents = match text.trim_start().starts_with('{') {
            true => match Value::from_json(text.as_bytes()) {
                Ok(value) => Ok(vec![value]),
                Err(_) => yaml::documents(text),
            },
            false => yaml::documents(text),
        };
        let documents = documents.map_err(|why| ImportError::malformed(file.name, why))?;
        for document in &documents {
            self.document(file.name, document)?;
        }
        Ok(())
    }

    fn document(&mut self, file: &str, document: &Value) -> Result<(), ImportError> {
        let kind = match document {
            Value::Null => return Ok(()),
            Value::Map(map) => map.get("kind").and_then(Value::as_text).unwrap_or_default(),
            _ => return Err(ImportError::malformed(file, "a document is no object")),
        };
        let items = document.as_map().and_then(|map| map.get("items"));
        match (kind.strip_suffix("List"), items) {
            (Some(of), Some(Value::List(items))) => {
                items.iter().try_for_each(|item| self.object(file, item, Some(of)))
            }
            (Some(_), None | Some(Value::Null)) => Ok(()),
            (Some(_), Some(_)) => Err(ImportError::malformed(file, "`items` is no list")),
            (None, _) => self.object(file, document, None),
        }
    }

    /// `list` is what the objects are of whose list this is one of, where they do not say themselves.
    fn object(&mut self, file: &str, object: &Value, list: Option<&str>) -> Result<(), ImportError> {
        let Some(map) = object.as_map() else {
            return Err(ImportError::malformed(file, "an object is a mapping"));
        };
        if self.roles.len().saturating_add(self.bindings.len()) >= MAX_OBJECTS {
            return Err(ImportError::TooMany { place: file.to_owned(), what: "objects", limit: MAX_OBJECTS });
        }
        let kind =
            map.get("kind").and_then(Value::as_text).or(list.filter(|of| !of.is_empty())).unwrap_or_default();
        let nothing = Map::new();
        let metadata = map.get("metadata").and_then(Value::as_map).unwrap_or(&nothing);
        let name = metadata.get("name").and_then(Value::as_text).unwrap_or_default();
        let namespace = metadata.get("namespace").and_then(Value::as_text).filter(|text| !text.is_empty());
        let full = match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        let place = format!("{file} {kind} {}", shown(&full));
        let is_namespaced = match kind {
            "Role" | "RoleBinding" => true,
            "ClusterRole" | "ClusterRoleBinding" => false,
            _ => {
                self.report.push(place, Fidelity::Refused, vec!["it is about something else".to_owned()]);
                return Ok(());
            }
        };
        let mut notes = Vec::new();
        let namespace = is_namespaced.then(|| {
            namespace.map(str::to_owned).unwrap_or_else(|| {
                notes.push("without a namespace it is in `default`".to_owned());
                "default".to_owned()
            })
        });
        let read = match version(map, list) {
            _ if name.is_empty() => Err("it has no name".to_owned()),
            Err(why) => Err(why),
            Ok(()) if kind.ends_with("Binding") => self.binding(&place, map, namespace, &mut notes),
            Ok(()) => {
                let role = RoleName { namespace, name: name.to_owned() };
                if self.roles.contains_key(&role) {
                    return Err(ImportError::malformed(place, "there are two of this name"));
                }
                self.role(role, map, metadata, &mut notes)
            }
        };
        match read {
            Ok(fidelity) => self.report.push(place, fidelity, notes),
            Err(why) => self.report.push(place, Fidelity::Refused, vec![why]),
        }
        Ok(())
    }

    fn role(
        &mut self,
        name: RoleName,
        map: &Map,
        metadata: &Map,
        notes: &mut Vec<String>,
    ) -> Result<Fidelity, String> {
        let mut fidelity = Fidelity::Exact;
        let mut rules = Vec::new();
        let list = match map.get("rules") {
            None | Some(Value::Null) => &[][..],
            Some(Value::List(list)) => list.as_slice(),
            Some(_) => return Err("`rules` is no list".to_owned()),
        };
        for (number, rule) in list.iter().enumerate() {
            match Rule::read(rule) {
                Ok(rule) => rules.push(rule),
                Err(why) => {
                    notes.push(format!("rule {} is left out: {why}", number.saturating_add(1)));
                    fidelity = Fidelity::Narrowed;
                }
            }
        }
        let aggregation = match map.get("aggregationRule") {
            None | Some(Value::Null) => None,
            Some(_) if name.namespace.is_some() => return Err("only cluster roles are aggregated".to_owned()),
            Some(rule) => Some(Selector::read_all(rule)?),
        };
        let labels = labels(metadata.get("labels"))?;
        self.roles.insert(name, Role { rules, labels, aggregation });
        Ok(fidelity)
    }

    fn binding(
        &mut self,
        place: &str,
        map: &Map,
        namespace: Option<String>,
        notes: &mut Vec<String>,
    ) -> Result<Fidelity, String> {
        let reference =
            map.get("roleRef").and_then(Value::as_map).ok_or_else(|| "it has no `roleRef`".to_owned())?;
        let text = |field: &str| reference.get(field).and_then(Value::as_text).unwrap_or_default();
        let name = text("name").to_owned();
        let role = match (text("kind"), &namespace, text("apiGroup")) {
            _ if name.is_empty() => return Err("its role has no name".to_owned()),
            ("ClusterRole", _, "" | API_GROUP) => RoleName { namespace: None, name },
            ("Role", Some(_), "" | API_GROUP) => RoleName { namespace: namespace.clone(), name },
            _ => return Err("its role is of an unknown kind or API group".to_owned()),
        };
        let mut fidelity = Fidelity::Exact;
        let mut subjects = Vec::new();
        let list = match map.get("subjects") {
            None | Some(Value::Null) => &[][..],
            Some(Value::List(list)) => list.as_slice(),
            Some(_) => return Err("`subjects` is no list".to_owned()),
        };
        for subject in list {
            match Subject::read(subject, namespace.as_deref()) {
                Ok(subject) => subjects.push(subject),
                Err(why) => {
                    notes.push(format!("left out: {why}"));
                    fidelity = Fidelity::Narrowed;
                }
            }
        }
        self.bindings.push(Binding { place: place.to_owned(), namespace, role, subjects });
        Ok(fidelity)
    }
}

/// Elements of a list may be without their version.
fn version(map: &Map, list: Option<&str>) -> Result<(), String> {
    match map.get("apiVersion").map(|version| version.as_text().unwrap_or_default()) {
        None if list.is_some_and(|of| !of.is_empty()) => Ok(()),
        Some("rbac.authorization.k8s.io/v1" | "rbac.authorization.k8s.io/v1beta1") => Ok(()),
        _ => Err("its `apiVersion` is not rbac.authorization.k8s.io/v1".to_owned()),
    }
}

const API_GROUP: &str = "rbac.authorization.k8s.io";
