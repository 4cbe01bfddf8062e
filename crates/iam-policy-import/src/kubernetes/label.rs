use std::collections::{BTreeMap, BTreeSet};

use super::rule::texts;
use crate::value::{Map, Value};

/// A label selector: all of it must hold. One that asks nothing selects everything.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    requirements: Vec<(String, Requirement)>,
}

#[derive(Debug, Clone)]
enum Requirement {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads the selectors of an aggregation rule.
    pub(super) fn read_all(aggregation: &Value) -> Result<Vec<Self>, String> {
        let map = fields(aggregation, &["clusterRoleSelectors"])?;
        match map.get("clusterRoleSelectors") {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::List(list)) => list.iter().map(Self::read).collect(),
            Some(_) => Err("`clusterRoleSelectors` is no list".to_owned()),
        }
    }

    fn read(value: &Value) -> Result<Self, String> {
        let map = fields(value, &["matchLabels", "matchExpressions"])?;
        let mut requirements = Vec::new();
        for (key, value) in labels(map.get("matchLabels"))? {
            requirements.push((key, Requirement::In([value].into())));
        }
        match map.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::List(list)) => {
                for expression in list {
                    requirements.push(requirement(expression)?);
                }
            }
            Some(_) => return Err("`matchExpressions` is no list".to_owned()),
        }
        Ok(Self { requirements })
    }

    /// Whether something with these labels is selected.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|(key, requirement)| match (requirement, labels.get(key)) {
            (Requirement::In(values), Some(value)) => values.contains(value),
            (Requirement::NotIn(values), Some(value)) => !values.contains(value),
            (Requirement::Exists, value) => value.is_some(),
            (Requirement::DoesNotExist, value) => value.is_none(),
            (Requirement::In(_), None) => false,
            (Requirement::NotIn(_), None) => true,
        })
    }
}

/// Labels; none where the field is not there or null.
pub(super) fn labels(value: Option<&Value>) -> Result<BTreeMap<String, String>, String> {
    let wrong = || "labels are texts".to_owned();
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Map(map)) => map
            .iter()
            .map(|(key, value)| Ok((key.clone(), value.as_text().ok_or_else(wrong)?.to_owned())))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn requirement(expression: &Value) -> Result<(String, Requirement), String> {
    let map = fields(expression, &["key", "operator", "values"])?;
    let key =
        map.get("key").and_then(Value::as_text).ok_or_else(|| "an expression has a `key`".to_owned())?;
    let values = texts(map, "values")?;
    let operator = map.get("operator").and_then(Value::as_text).unwrap_or_default();
    let requirement = match (operator, values.is_empty()) {
        ("In", false) => Requirement::In(values),
        ("NotIn", false) => Requirement::NotIn(values),
        ("Exists", true) => Requirement::Exists,
        ("DoesNotExist", true) => Requirement::DoesNotExist,
        _ => return Err("an expression has an operator and the values it takes".to_owned()),
    };
    Ok((key.to_owned(), requirement))
}

fn fields<'a>(value: &'a Value, known: &[&str]) -> Result<&'a Map, String> {
    let map = value.as_map().ok_or_else(|| "a selector is a mapping".to_owned())?;
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("no field of a selector: {}", crate::source::shown(key))),
        None => Ok(map),
    }
}
