use std::collections::BTreeSet;

use super::request::{Request, Target};
use crate::value::{Map, Value};

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub(super) verbs: BTreeSet<String>,
    pub(super) api_groups: BTreeSet<String>,
    pub(super) resources: BTreeSet<String>,
    pub(super) resource_names: BTreeSet<String>,
    pub(super) paths: BTreeSet<String>,
}

impl Rule {
    /// Reads a rule; the message says what is not a rule's.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let map = value.as_map().ok_or_else(|| "no mapping".to_owned())?;
        // A misspelt `resourceNames` would be a rule about all names.
        if let Some(key) = map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("no field of a rule: {}", crate::source::shown(key)));
        }
        Ok(Self {
            verbs: texts(map, "verbs")?,
            api_groups: texts(map, "apiGroups")?,
            resources: texts(map, "resources")?,
            resource_names: texts(map, "resourceNames")?,
            paths: texts(map, "nonResourceURLs")?,
        })
    }

    /// Whether it allows what is asked.
    pub(super) fn allows(&self, request: &Request) -> bool {
        if !has(&self.verbs, request.verb()) {
            return false;
        }
        match request.target() {
            Target::Resource { api_group, resource, subresource, name, .. } => {
                has(&self.api_groups, api_group)
                    && self.has_resource(resource, subresource)
                    && (self.resource_names.is_empty() || self.resource_names.contains(name))
            }
            Target::Path(path) => {
                has(&self.paths, path)
                    || self
                        .paths
                        .iter()
                        .any(|own| own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
            }
        }
    }

    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        if subresource.is_empty() {
            return has(&self.resources, resource);
        }
        has(&self.resources, &format!("{resource}/{subresource}"))
            || self.resources.contains(&format!("*/{subresource}"))
    }
}

/// The word itself, or `*`.
fn has(words: &BTreeSet<String>, word: &str) -> bool {
    words.contains("*") || words.contains(word)
}

/// A list of texts; none where the field is not there or null.
pub(super) fn texts(map: &Map, field: &str) -> Result<BTreeSet<String>, String> {
    let wrong = || format!("`{field}` is no list of texts (quote what looks like a number or a flag)");
    match map.get(field) {
        None | Some(Value::Null) => Ok(BTreeSet::new()),
        Some(Value::List(list)) => {
            list.iter().map(|value| value.as_text().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

const FIELDS: [&str; 5] = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
