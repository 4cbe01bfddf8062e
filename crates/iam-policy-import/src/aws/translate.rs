//! From AWS's statements to our own.

use core_types::{Limit, PermissionPattern, Scope, SecureRandom, UnixTime};
use iam_policy::condition::{Networks, Test as OurTest};
use iam_policy::context::{Text, TextSet};
use iam_policy::policy::MAX_STATEMENTS;
use iam_policy::{
    AttributeName, Condition, Effect, PatternSet, PolicyDocument, Statement as OurStatement, Truth,
};

use super::condition::{Comparison, Kind, Quantifier, Test, flag};
use super::operand::instant;
use super::pattern::Pattern;
use super::statement::Statement;
use super::{Policies, Report};
use crate::directory::{Builder, Translation};
use crate::error::ImportError;
use crate::network::Network;
use crate::report::Fidelity;
use crate::source::shown;

impl Policies {
    /// Translates the statements into a role of `iam-policy` and the policies that come with it, at home at `home`:
    /// bind the role to those the source was attached to.
    ///
    /// `Service:Action` becomes the permission `service:action`. The resource `*` is everywhere, and
    /// `arn_prefix` followed by the text of a scope is that scope: `[P, P/*]` is the scope and all below. Translated
    /// are conditions on `aws:SourceIp`, `aws:MultiFactorAuthPresent`, `aws:SecureTransport`, `aws:CurrentTime`
    /// and tags (`aws:PrincipalTag/x` is `principal.x`, likewise `resource.x` and `request.x`).
    ///
    /// # Errors
    /// [`ImportError`] when a deny fits no document of ours: past a bound of [`iam_policy::policy`].
    pub fn translate(
        &self,
        arn_prefix: &str,
        home: &Scope,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Translation, ImportError> {
        let (documents, report) = self.documents(arn_prefix)?;
        let mut builder = Builder::new(home, now, rng);
        let mut policies = Vec::new();
        for (number, document) in documents.iter().enumerate() {
            policies.push(builder.policy(&format!("imported-{}", number.saturating_add(1)), document)?);
        }
        builder.role("imported", home, &[], &policies)?;
        builder.finish(report)
    }

    /// The statements as documents of our own, all of which have to be bound together.
    ///
    /// # Errors
    /// As [`translate`](Self::translate).
    pub fn documents(&self, arn_prefix: &str) -> Result<(Vec<PolicyDocument>, Report), ImportError> {
        let mut report = Report::default();
        let mut statements = Vec::new();
        for statement in &self.statements {
            let mut lost = Vec::new();
            let ours = translated(statement, arn_prefix, &mut lost);
            let fidelity = match (&ours, statement.effect()) {
                (Some(_), _) if lost.is_empty() => Fidelity::Exact,
                (Some(_), _) => Fidelity::Narrowed,
                (None, Effect::Allow) => Fidelity::Refused,
                (None, Effect::Deny) => {
                    let why = format!("this deny would be lost: {}", lost.join("; "));
                    return Err(ImportError::unsupported(statement.place(), why));
                }
            };
            report.push(statement.place(), fidelity, lost);
            statements.extend(ours);
        }
        let documents =
            statements.chunks(MAX_STATEMENTS).map(|some| PolicyDocument::new(some.iter().cloned()));
        let documents = documents.collect::<Result<_, _>>();
        let documents =
            documents.map_err(|error| ImportError::unsupported("the translation", error.to_string()))?;
        Ok((documents, report))
    }
}

/// The statement, or `None` when it cannot be said; `lost` tells what is not taken as it is.
fn translated(statement: &Statement, arn_prefix: &str, lost: &mut Vec<String>) -> Option<OurStatement> {
    let effect = statement.effect();
    let is_deny = effect == Effect::Deny;
    if let Some(principal) = statement.principal() {
        lost.push(principal.to_owned());
        if !is_deny {
            return None;
        }
    }
    let permissions = PatternSet::new(permissions(statement, is_deny, lost)?);
    let permissions = permissions.map_err(|error| lost.push(error.to_string())).ok()?;
    let mut ours = match effect {
        Effect::Allow => OurStatement::allow(permissions),
        Effect::Deny => OurStatement::deny(permissions),
    };
    if let Limit::Only(scopes) = scopes(statement, is_deny, arn_prefix, lost)? {
        ours = match ours.clone().at(scopes) {
            Ok(limited) => limited,
            Err(error) => {
                lost.push(error.to_string());
                if !is_deny {
                    return None;
                }
                ours
            }
        };
    }
    for test in statement.conditions() {
        let Some(conditions) = conditions(test) else {
            lost.push(format!("no condition of ours is like that on {}", shown(&test.key)));
            if is_deny {
                continue;
            }
            return None;
        };
        for condition in conditions {
            ours = match ours.clone().when(condition) {
                Ok(limited) => limited,
                Err(error) => {
                    lost.push(error.to_string());
                    if !is_deny {
                        return None;
                    }
                    ours
                }
            };
        }
        let of_absent = if is_deny { Truth::True } else { Truth::False };
        if of_absence(test) != of_absent && test.key != CURRENT_TIME {
            let answer = if is_deny { "denies" } else { "does not allow" };
            lost.push(format!("where {} is not known, it {answer}", shown(&test.key)));
        }
    }
    Some(ours)
}

/// `None` when an allow has none left.
fn permissions(
    statement: &Statement,
    is_deny: bool,
    lost: &mut Vec<String>,
) -> Option<Vec<PermissionPattern>> {
    let actions = statement.actions();
    if actions.is_complement {
        lost.push("all actions but some cannot be said".to_owned());
        return is_deny.then(|| vec![PermissionPattern::all()]);
    }
    let mut all = Vec::new();
    for action in &actions.patterns {
        let text = action.text();
        let (service, name) = text.split_once(':').unwrap_or(("*", "*"));
        // `admin:*` is our word for everything.
        let exact = (service != "admin").then(|| format!("{service}:{name}").parse().ok()).flatten();
        match exact.filter(|_| action.doubt().is_none() && (service != "*" || name == "*")) {
            Some(pattern) => all.push(pattern),
            None => {
                lost.push(format!("no permission is like {}", shown(text)));
                if is_deny {
                    let service = (service != "admin").then(|| format!("{service}:*").parse().ok()).flatten();
                    all.push(service.unwrap_or_else(PermissionPattern::all));
                }
            }
        }
    }
    (is_deny || !all.is_empty() || actions.patterns.is_empty()).then_some(all)
}

/// `None` when an allow has none left.
fn scopes(
    statement: &Statement,
    is_deny: bool,
    arn_prefix: &str,
    lost: &mut Vec<String>,
) -> Option<Limit<Vec<Scope>>> {
    let resources = statement.resources();
    if resources.is_complement {
        lost.push("all resources but some cannot be said".to_owned());
        return is_deny.then_some(Limit::Unlimited);
    }
    let texts: Vec<&str> = resources.patterns.iter().map(Pattern::text).collect();
    let mut scopes = Vec::new();
    for pattern in &resources.patterns {
        let text = pattern.text();
        let path = text.strip_prefix(arn_prefix).filter(|_| pattern.is_fixed());
        if text == "*" || path == Some("*") {
            return Some(Limit::Unlimited);
        }
        let path = path.map(|path| path.strip_suffix("/*").unwrap_or(path));
        let scope: Option<Scope> = path.filter(|path| *path != "/").and_then(|path| path.parse().ok());
        let Some(scope) = scope else {
            lost.push(format!("no scope is like {}", shown(text)));
            if is_deny {
                return Some(Limit::Unlimited);
            }
            continue;
        };
        let own = format!("{arn_prefix}{}", scope.as_path());
        let below = format!("{own}/*");
        let is_whole = texts.contains(&own.as_str()) && texts.contains(&below.as_str());
        if !is_whole {
            lost.push(format!(
                "a scope is never without what is below, or the other way round: {}",
                shown(text)
            ));
        }
        if is_whole || is_deny {
            scopes.push(scope);
        }
    }
    (is_deny || !scopes.is_empty() || texts.is_empty()).then_some(Limit::Only(scopes))
}

/// What AWS answers where the key is absent.
fn of_absence(test: &Test) -> Truth {
    let holds = match test.quantifier {
        Quantifier::All => true,
        Quantifier::Any => test.if_exists,
        Quantifier::One => test.if_exists || test.operator.is_negated,
    };
    if holds { Truth::True } else { Truth::False }
}

/// Conditions that all together say what the test says where the key is present.
fn conditions(test: &Test) -> Option<Vec<Condition>> {
    if test.doubt().is_some() || !test.values.iter().all(Pattern::is_fixed) {
        return None;
    }
    let values: Vec<&str> = test.values.iter().map(Pattern::text).collect();
    let is_one = test.quantifier == Quantifier::One;
    let wrap =
        |ours| vec![if test.operator.is_negated { Condition::is_not(ours) } else { Condition::is(ours) }];
    match (test.key.as_str(), test.operator.kind) {
        ("aws:sourceip", Kind::Ip) if is_one => {
            let networks = values.iter().map(|text| Network::parse(text)?.canonical().parse().ok());
            let networks = Networks::try_from(networks.collect::<Option<Vec<_>>>()?).ok()?;
            Some(wrap(OurTest::ClientIp(networks)))
        }
        ("aws:multifactorauthpresent", Kind::Flag) if is_one => Some(vec![is_flag(OurTest::Mfa, &values)?]),
        ("aws:securetransport", Kind::Flag) if is_one => Some(vec![is_flag(OurTest::Tls, &values)?]),
        (CURRENT_TIME, Kind::Date(comparison)) if is_one && !test.operator.is_negated => {
            let &[text] = values.as_slice() else { return None };
            let at = UnixTime::from_millis(u64::try_from(instant(text)?).ok()?);
            let after = UnixTime::from_millis(at.as_millis().checked_add(1)?);
            let (from, until) = match comparison {
                Comparison::Less => (Limit::Unlimited, Limit::Only(at)),
                Comparison::LessOrEqual => (Limit::Unlimited, Limit::Only(after)),
                Comparison::Greater => (Limit::Only(after), Limit::Unlimited),
                Comparison::GreaterOrEqual => (Limit::Only(at), Limit::Unlimited),
                Comparison::Equal => (Limit::Only(at), Limit::Only(after)),
            };
            Some(vec![Condition::is(OurTest::Time { from, until })])
        }
        (key, Kind::Text) => {
            let attribute = attribute(key)?;
            let one_of = TextSet::new(values).ok()?;
            match (test.quantifier, test.operator.is_negated) {
                (Quantifier::One, _) => Some(wrap(OurTest::Text { attribute, one_of })),
                (Quantifier::Any, false) => Some(wrap(OurTest::Any { attribute, one_of })),
                (Quantifier::All, false) => Some(wrap(OurTest::All { attribute, one_of })),
                (Quantifier::Any | Quantifier::All, true) => None,
            }
        }
        (key, Kind::Like) if is_one => {
            let &[text] = values.as_slice() else { return None };
            let head = text.strip_suffix('*').filter(|head| !head.contains(['*', '?', '$']))?;
            Some(wrap(OurTest::Prefix { attribute: attribute(key)?, starts_with: Text::new(head).ok()? }))
        }
        _ => None,
    }
}

fn is_flag(test: OurTest, values: &[&str]) -> Option<Condition> {
    let &[text] = values else { return None };
    Some(if flag(text)? { Condition::is(test) } else { Condition::is_not(test) })
}

/// Of the key of a tag.
fn attribute(key: &str) -> Option<AttributeName> {
    let (family, name) = key.split_once('/')?;
    let of = match family {
        "aws:principaltag" => "principal",
        "aws:resourcetag" => "resource",
        "aws:requesttag" => "request",
        _ => return None,
    };
    format!("{of}.{name}").parse().ok()
}

const CURRENT_TIME: &str = "aws:currenttime";
