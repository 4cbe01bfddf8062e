use std::collections::BTreeSet;

use crate::error::RequestError;
use crate::source::shown;
use crate::value::{Map, Value};

/// A question in Kubernetes' terms: `{"user", "groups", "verb", "apiGroup", "resource", "subresource", "name",
/// "namespace"}` or `{"user", "groups", "verb", "path"}`. What is not there is empty, but the verb and the resource or
/// path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    user: String,
    groups: BTreeSet<String>,
    verb: String,
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Resource { api_group: String, resource: String, subresource: String, name: String, namespace: String },
    Path(String),
}

impl Request {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// [`RequestError`]: answer with deny.
    pub fn parse(json: &[u8]) -> Result<Self, RequestError> {
        let value = Value::from_json(json).map_err(RequestError::new)?;
        let Some(map) = value.as_map() else { return Err(RequestError::new("not an object")) };
        if let Some(key) = map.keys().find(|key| !WHO.iter().chain(&WHAT).any(|field| field == key)) {
            return Err(RequestError::new(format!("no field of a request: {}", shown(key))));
        }
        let verb = needed(map, "verb")?;
        let target = if map.get("path").is_some_and(|path| *path != Value::Null) {
            if let Some(field) = WHAT.iter().find(|field| map.contains_key(**field)) {
                return Err(RequestError::new(format!("`path` and `{field}` exclude each other")));
            }
            Target::Path(needed(map, "path")?)
        } else {
            Target::Resource {
                api_group: text(map, "apiGroup")?,
                resource: needed(map, "resource")?,
                subresource: text(map, "subresource")?,
                name: text(map, "name")?,
                namespace: text(map, "namespace")?,
            }
        };
        let groups = super::rule::texts(map, "groups").map_err(RequestError::new)?;
        Ok(Self { user: text(map, "user")?, groups, verb, target })
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn has_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    pub(super) fn verb(&self) -> &str {
        &self.verb
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Empty for what is in none.
    pub(super) fn namespace(&self) -> &str {
        match &self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Path(_) => "",
        }
    }
}

fn text(map: &Map, field: &str) -> Result<String, RequestError> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(_) => Err(RequestError::new(format!("`{field}` is no text"))),
    }
}

fn needed(map: &Map, field: &str) -> Result<String, RequestError> {
    let text = text(map, field)?;
    if text.is_empty() { Err(RequestError::new(format!("`{field}` is missing or empty"))) } else { Ok(text) }
}

const WHO: [&str; 4] = ["user", "groups", "verb", "path"];
const WHAT: [&str; 5] = ["apiGroup", "resource", "subresource", "name", "namespace"];
