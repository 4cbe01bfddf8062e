use iam_policy::{Effect, Truth};

use super::condition::{Test, any, opposite};
use super::pattern::Pattern;
use super::request::Request;
use crate::error::ImportError;
use crate::source::shown;
use crate::value::{Map, Value};

/// One statement.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    place: String,
    effect: Effect,
    actions: Set,
    resources: Set,
    conditions: Vec<Test>,
    /// Why nobody knows to whom it applies.
    principal: Option<String>,
}

/// Patterns, or all that they do not match.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) patterns: Vec<Pattern>,
    pub(super) is_complement: bool,
}

impl Set {
    fn contains(&self, text: &str, request: &Request) -> Truth {
        let matched = any(self.patterns.iter().map(|pattern| pattern.matches(text, request)));
        if self.is_complement { opposite(matched) } else { matched }
    }
}

impl Statement {
    pub(super) fn read(place: &str, map: &Map, has_variables: bool) -> Result<Self, ImportError> {
        let malformed = |why: String| ImportError::malformed(place, why);
        if let Some(key) = map.keys().find(|key| !ELEMENTS.contains(&key.as_str())) {
            return Err(malformed(format!("no element of a statement: {}", shown(key))));
        }
        let effect = match map.get("Effect").and_then(Value::as_text) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(malformed("`Effect` is `Allow` or `Deny`".to_owned())),
        };
        let actions = set(place, map, "Action", "NotAction", |text| {
            Pattern::action(text).ok_or_else(|| malformed(format!("no action: {}", shown(text))))
        })?;
        let resources =
            set(place, map, "Resource", "NotResource", |text| Ok(Pattern::resource(text, has_variables)))?;
        let conditions = match map.get("Condition") {
            None => Vec::new(),
            Some(block) => {
                block.as_map().and_then(|block| Test::read_all(block, has_variables)).ok_or_else(|| {
                    malformed("`Condition` is no block of operators, keys and values".to_owned())
                })?
            }
        };
        let principal = match (map.get("Principal"), map.get("NotPrincipal")) {
            (None, None) => None,
            (Some(principal), None) if is_everyone(principal) => None,
            _ => Some("it is about some principals, which a request does not name".to_owned()),
        };
        Ok(Self { place: place.to_owned(), effect, actions, resources, conditions, principal })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) const fn effect(&self) -> Effect {
        self.effect
    }

    pub(super) const fn actions(&self) -> &Set {
        &self.actions
    }

    pub(super) const fn resources(&self) -> &Set {
        &self.resources
    }

    pub(super) fn conditions(&self) -> &[Test] {
        &self.conditions
    }

    pub(super) fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Whether it is about the request, and its conditions hold.
    pub(super) fn applies(&self, request: &Request) -> Truth {
        let concerns = self
            .actions
            .contains(request.action(), request)
            .min(self.resources.contains(request.resource(), request));
        if concerns == Truth::False {
            return Truth::False;
        }
        let who = if self.principal.is_some() { Truth::Unknown } else { Truth::True };
        Truth::all(self.conditions.iter().map(|test| test.holds(request)).chain([concerns, who]))
    }

    /// Why it is not taken as it is.
    pub(super) fn doubts(&self) -> Vec<String> {
        let patterns = self.actions.patterns.iter().chain(&self.resources.patterns);
        let doubts =
            patterns.filter_map(Pattern::doubt).chain(self.conditions.iter().filter_map(Test::doubt));
        doubts.map(str::to_owned).chain(self.principal.clone()).collect()
    }

    /// Whether it can never be said to apply.
    pub(super) fn is_lifeless(&self) -> bool {
        let is_lifeless = |set: &Set| {
            let mut patterns = set.patterns.iter();
            !set.is_complement && patterns.all(Pattern::is_lifeless)
        };
        self.principal.is_some()
            || self.conditions.iter().any(|test| test.doubt().is_some())
            || is_lifeless(&self.actions)
            || is_lifeless(&self.resources)
    }
}

/// The patterns under one of two names, of which exactly one is there.
fn set(
    place: &str,
    map: &Map,
    name: &str,
    complement: &str,
    parse: impl Fn(&str) -> Result<Pattern, ImportError>,
) -> Result<Set, ImportError> {
    let (value, is_complement) = match (map.get(name), map.get(complement)) {
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        _ => {
            return Err(ImportError::malformed(
                place,
                format!("one of `{name}` and `{complement}` is needed"),
            ));
        }
    };
    let texts = value.one_or_many();
    if is_complement && texts.is_empty() {
        return Err(ImportError::malformed(place, format!("an empty `{complement}` would be everything")));
    }
    let wrong = || ImportError::malformed(place, format!("`{name}` is a text or a list of texts"));
    let patterns = texts.iter().map(|text| text.as_text().filter(|text| !text.is_empty()).ok_or_else(wrong));
    let patterns = patterns.map(|text| text.and_then(&parse)).collect::<Result<_, _>>()?;
    Ok(Set { patterns, is_complement })
}

/// `"*"`, `{"AWS": "*"}` or `{"AWS": ["*"]}`.
fn is_everyone(principal: &Value) -> bool {
    let is_star = |value: &Value| value.as_text() == Some("*");
    match principal {
        Value::Map(map) => {
            let stars = |value: &Value| matches!(value.one_or_many(), [one] if is_star(one));
            map.len() == 1 && map.get("AWS").is_some_and(stars)
        }
        other => is_star(other),
    }
}

const ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
