//! From our own statements to AWS's.

use core_types::{Limit, PermissionPattern, Scope};
use iam_policy::{Condition, Effect, PolicyDocument, Statement};
use serde_json::{Map, Value, json};

use super::Report;
use crate::report::Fidelity;

/// A document in AWS's form, and what became of each statement on the way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Exported {
    /// The document.
    pub json: Value,
    /// What became of each statement: an allow that cannot be said is left out.
    pub report: Report,
}

/// A deny that cannot be said in AWS's form, so that the document cannot be. Split it up by services.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("statement {number}: no action of AWS is like `{pattern}`, and what it denies must not be lost")]
pub struct ExportError {
    /// Which statement, counted from 1.
    pub number: usize,
    /// What it denies.
    pub pattern: PermissionPattern,
}

/// Writes a document in AWS's form. The permission `service:verb` is the action of that name, and a scope is
/// `arn_prefix` followed by its text: what [`Policies::translate`](super::Policies::translate) reads.
///
/// # Errors
/// [`ExportError`] when something that is denied cannot be said.
pub fn export(document: &PolicyDocument, arn_prefix: &str) -> Result<Exported, ExportError> {
    let mut report = Report::default();
    let mut statements = Vec::new();
    for (at, statement) in document.statements().iter().enumerate() {
        let number = at.saturating_add(1);
        let mut lost = Vec::new();
        let is_deny = statement.effect() == Effect::Deny;
        let actions = actions(statement, &mut lost);
        if let Some(pattern) = lost.first().filter(|_| is_deny) {
            return Err(ExportError { number, pattern: pattern.clone() });
        }
        let mut reasons: Vec<String> =
            lost.iter().map(|pattern| format!("no action is like `{pattern}`")).collect();
        let resources = resources(statement, arn_prefix);
        let conditions = conditions(statement, is_deny, &mut reasons);
        let place = format!("statement {number}");
        let says_nothing = statement.permissions().iter().next().is_none() || resources.is_empty();
        let Some(conditions) = conditions.filter(|_| !says_nothing && !actions.is_empty()) else {
            let fidelity = if says_nothing { Fidelity::Exact } else { Fidelity::Refused };
            report.push(place, fidelity, reasons);
            continue;
        };
        let fidelity = if reasons.is_empty() { Fidelity::Exact } else { Fidelity::Narrowed };
        report.push(place, fidelity, reasons);
        let effect = if is_deny { "Deny" } else { "Allow" };
        let mut written = json!({"Effect": effect, "Action": actions, "Resource": resources});
        if let Some(map) = written.as_object_mut().filter(|_| !conditions.is_empty()) {
            map.insert("Condition".to_owned(), Value::Object(conditions));
        }
        statements.push(written);
    }
    Ok(Exported { json: json!({"Version": "2012-10-17", "Statement": statements}), report })
}

/// `lost` has what cannot be said: one verb of every service.
fn actions(statement: &Statement, lost: &mut Vec<PermissionPattern>) -> Vec<String> {
    let mut actions = Vec::new();
    for pattern in statement.permissions().iter() {
        match (pattern.service(), pattern.verb()) {
            (None, None) => actions.push("*".to_owned()),
            (None, Some(_)) => lost.push(pattern.clone()),
            (Some(_), _) => actions.push(pattern.to_string()),
        }
    }
    actions
}

fn resources(statement: &Statement, arn_prefix: &str) -> Vec<String> {
    match statement.scopes() {
        Limit::Only(scopes) if !scopes.iter().any(Scope::is_root) => scopes
            .iter()
            .map(|scope| format!("{arn_prefix}{}", scope.as_path()))
            .flat_map(|own| [format!("{own}/*"), own])
            .collect(),
        Limit::Only(_) | Limit::Unlimited => vec!["*".to_owned()],
    }
}

/// `None` when an allow cannot be said. A condition of a deny that cannot be said is left out: it denies more.
fn conditions(statement: &Statement, is_deny: bool, lost: &mut Vec<String>) -> Option<Map<String, Value>> {
    let mut block = Map::new();
    for condition in statement.conditions() {
        let written = serde_json::to_value(condition).ok().and_then(|value| tests(&value, is_deny));
        let fits = written.filter(|tests| {
            tests.iter().all(|(operator, key, _)| {
                block.get(operator).and_then(Value::as_object).is_none_or(|keys| !keys.contains_key(key))
            })
        });
        match fits {
            Some(tests) => {
                for (operator, key, value) in tests {
                    let keys = block.entry(operator).or_insert_with(|| Value::Object(Map::new()));
                    if let Some(keys) = keys.as_object_mut() {
                        keys.insert(key, value);
                    }
                }
            }
            None => {
                lost.push(format!("no condition of AWS is like {}", described(condition)));
                if !is_deny {
                    return None;
                }
            }
        }
    }
    Some(block)
}

fn described(condition: &Condition) -> String {
    serde_json::to_string(condition).map(|text| crate::source::shown(&text)).unwrap_or_default()
}

type Written = Vec<(String, String, Value)>;

/// Operator, key and values of each test that a condition becomes. Where the context does not say, an allow must not
/// apply and a deny must: positive operators of a deny have `IfExists`, negated ones of an allow `Null` beside them.
fn tests(condition: &Value, is_deny: bool) -> Option<Written> {
    let not = condition.get("not")?.as_bool()?;
    let test = condition.get("test")?;
    let positive = |operator: &str, key: String, value: Value| {
        let operator = if is_deny { format!("{operator}IfExists") } else { operator.to_owned() };
        Some(vec![(operator, key, value)])
    };
    let negated = |operator: &str, key: String, value: Value| {
        let present = (!is_deny).then(|| ("Null".to_owned(), key.clone(), json!("false")));
        Some([(operator.to_owned(), key, value)].into_iter().chain(present).collect())
    };
    if let Some(word) = test.as_str() {
        let key = match word {
            "mfa" => "aws:MultiFactorAuthPresent",
            "tls" => "aws:SecureTransport",
            _ => return None,
        };
        return positive("Bool", key.to_owned(), json!((!not).to_string()));
    }
    let (kind, body) = test.as_object()?.iter().next()?;
    let key = || body.get("attribute").and_then(Value::as_str).and_then(key_of);
    let texts = |name: &str| -> Option<Value> {
        let list = body.get(name)?.as_array()?;
        let texts: Vec<String> =
            list.iter().filter_map(Value::as_str).map(|text| escaped(text, false)).collect();
        (!texts.is_empty()).then(|| json!(texts))
    };
    let bound = |name: &str| body.get(name).and_then(|limit| limit.get("only"));
    match (kind.as_str(), not) {
        ("client_ip", _) if body.as_array().is_none_or(Vec::is_empty) => None,
        ("client_ip", false) => positive("IpAddress", "aws:SourceIp".to_owned(), body.clone()),
        ("client_ip", true) => negated("NotIpAddress", "aws:SourceIp".to_owned(), body.clone()),
        ("time", false) => {
            let after = bound("from").map(|at| ("DateGreaterThanEquals", at));
            let before = bound("until").map(|at| ("DateLessThan", at));
            let tests = after.into_iter().chain(before);
            let key = || "aws:CurrentTime".to_owned();
            tests.map(|(operator, at)| Some((operator.to_owned(), key(), json!(seconds(at)?)))).collect()
        }
        ("flag", _) => {
            let key = body.as_str().and_then(key_of)?;
            positive("Bool", key, json!((!not).to_string()))
        }
        ("number", false) => {
            let mut tests = Vec::new();
            for (operator, name) in
                [("NumericGreaterThanEquals", "at_least"), ("NumericLessThanEquals", "at_most")]
            {
                if let Some(number) = bound(name) {
                    tests.extend(positive(operator, key()?, json!(number.to_string()))?);
                }
            }
            // Without a bound it asks whether there is a number at all.
            (!tests.is_empty()).then_some(tests)
        }
        ("text", false) => positive("StringEquals", key()?, texts("one_of")?),
        ("text", true) => negated("StringNotEquals", key()?, texts("one_of")?),
        ("prefix", _) => {
            let like = format!("{}*", escaped(body.get("starts_with")?.as_str()?, true));
            if not {
                negated("StringNotLike", key()?, json!(like))
            } else {
                positive("StringLike", key()?, json!(like))
            }
        }
        ("any", false) => positive("ForAnyValue:StringEquals", key()?, texts("one_of")?),
        ("all", false) => negated("ForAllValues:StringEquals", key()?, texts("one_of")?),
        _ => None,
    }
}

fn key_of(attribute: &str) -> Option<String> {
    let (of, name) = attribute.split_once('.')?;
    let family = match of {
        "principal" => "aws:PrincipalTag",
        "resource" => "aws:ResourceTag",
        "request" => "aws:RequestTag",
        _ => return None,
    };
    Some(format!("{family}/{name}"))
}

/// Whole seconds since 1970, as AWS takes them.
fn seconds(at: &Value) -> Option<String> {
    let millis = at.as_u64()?;
    millis.is_multiple_of(1000).then(|| millis.checked_div(1000).map(|seconds| seconds.to_string()))?
}

/// The text for itself, where `${` and wildcards would mean something.
fn escaped(text: &str, has_wildcards: bool) -> String {
    let mut escaped = String::new();
    for symbol in text.chars() {
        if symbol == '$' || (has_wildcards && matches!(symbol, '*' | '?')) {
            escaped.extend(['$', '{', symbol, '}']);
        } else {
            escaped.push(symbol);
        }
    }
    escaped
}
