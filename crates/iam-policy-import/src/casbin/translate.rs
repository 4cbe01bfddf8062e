//! From casbin's rows to a directory of our own.

use std::collections::{BTreeMap, BTreeSet};

use core_types::{PermissionPattern, Scope, SecureRandom, UnixTime};
use iam_policy::policy::MAX_STATEMENTS;
use iam_policy::{MAX_PATTERNS, PatternSet, PolicyDocument, Statement};

use super::expression::MAX_LEVELS;
use super::{Casbin, Links, Rule};
use crate::directory::{Builder, Translation, permission};
use crate::error::ImportError;
use crate::report::{Fidelity, Report};

/// What the rows say of a name in a domain.
#[derive(Default)]
struct Said {
    allows: BTreeSet<PermissionPattern>,
    denies: BTreeSet<PermissionPattern>,
}

impl Casbin {
    /// Translates rows whose model is inferred into a directory of `iam-policy` at `home`.
    ///
    /// `p, role, obj, act` is the permission `obj:act` of a role, where both are names of ours and the object is not
    /// `iam`; a domain is the scope `domain/NAME` below `home`. Who is no role of anyone is a user, and is bound to
    /// all it has, roles of roles too. Requests in the name of a role have no counterpart.
    ///
    /// # Errors
    /// [`ImportError`] for other models, for roles of resources, and past a bound of `iam-policy`.
    pub fn translate(
        &self,
        home: &Scope,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Translation, ImportError> {
        if !self.model.is_inferred || self.model.groupings.contains_key("g2") {
            return Err(ImportError::unsupported("the model", "only plain roles and domains are translated"));
        }
        let mut report = Report::default();
        let has_domain = self.model.policy.iter().any(|name| name == "dom");
        let mut said: BTreeMap<(String, String), Said> = BTreeMap::new();
        for rule in &self.rules {
            let why = self.add(rule, has_domain, home, &mut said);
            let (fidelity, reasons) = match why {
                None => (Fidelity::Exact, Vec::new()),
                Some(why) if rule.is_deny => (Fidelity::Narrowed, vec![why]),
                Some(why) => (Fidelity::Refused, vec![why]),
            };
            report.push(rule.place.clone(), fidelity, reasons);
        }
        let mut builder = Builder::new(home, now, rng);
        let mut allowing: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        let mut denying: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for ((name, domain), said) in &said {
            let scope = place(home, domain).unwrap_or_else(|| home.clone());
            let label = if domain.is_empty() { name.clone() } else { format!("{name}@{domain}") };
            let allows: Vec<PermissionPattern> = said.allows.iter().cloned().collect();
            for (number, some) in allows.chunks(MAX_PATTERNS).enumerate() {
                let label = if number == 0 { label.clone() } else { format!("{label}-{number}") };
                let role = builder.role(&label, &scope, some, &[])?;
                allowing.entry((name, domain)).or_default().push(role);
            }
            for (number, document) in denials(&said.denies)?.iter().enumerate() {
                let policy = builder.policy(&format!("deny-{label}-{number}"), document)?;
                denying.entry((name, domain)).or_default().push(policy);
            }
        }
        let nothing = Links::new(2);
        let links = self.links.get("g").unwrap_or(&nothing);
        let (mut roles, mut names, mut domains) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (name, role, domain) in links.rows() {
            roles.insert(role);
            names.insert(name);
            domains.insert(domain);
        }
        names.extend(said.keys().map(|(name, _)| name.as_str()));
        domains.extend(said.keys().map(|(_, domain)| domain.as_str()));
        for user in names.difference(&roles) {
            let id = builder.user(user)?;
            for domain in &domains {
                let Some(scope) = place(home, domain) else { continue };
                let bound = [(&allowing, Some(MAX_LEVELS)), (&denying, None)];
                for (given, levels) in bound {
                    for role in links.roles(user, domain, levels) {
                        for what in given.get(&(role, *domain)).into_iter().flatten() {
                            builder.bind(what, &id, &scope)?;
                        }
                    }
                }
            }
        }
        builder.finish(report)
    }

    /// Why the row is not taken as it is.
    fn add(
        &self,
        rule: &Rule,
        has_domain: bool,
        home: &Scope,
        said: &mut BTreeMap<(String, String), Said>,
    ) -> Option<String> {
        let mut values = rule.values.iter().map(String::as_str);
        let name = values.next().unwrap_or_default();
        let domain = if has_domain { values.next().unwrap_or_default() } else { "" };
        let (object, action) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
        if name.is_empty() || place(home, domain).is_none() || (has_domain && domain.is_empty()) {
            // Nobody is bound in a domain that is no scope, so that nothing is left to deny there.
            return Some("the domain is no scope, or the subject is empty".to_owned());
        }
        let exact = permission(object, action).map(PermissionPattern::from);
        let said = said.entry((name.to_owned(), domain.to_owned())).or_default();
        if !rule.is_deny {
            let is_exact = exact.is_some();
            said.allows.extend(exact);
            return (!is_exact).then(|| "no permission is like its object and action".to_owned());
        }
        let wide = || {
            let of_object = format!("{object}:*").parse().ok().filter(|_| object != "admin" && object != "*");
            of_object.unwrap_or_else(PermissionPattern::all)
        };
        let is_exact = exact.is_some();
        said.denies.insert(exact.unwrap_or_else(wide));
        (!is_exact).then(|| "it denies more: no permission is like its object and action".to_owned())
    }
}

/// The root of all domains, or one of them.
fn place(home: &Scope, domain: &str) -> Option<Scope> {
    if domain.is_empty() { Some(home.clone()) } else { home.child("domain", domain).ok() }
}

fn denials(patterns: &BTreeSet<PermissionPattern>) -> Result<Vec<PolicyDocument>, ImportError> {
    let unsupported = |why: String| ImportError::unsupported("the translation", why);
    let patterns: Vec<PermissionPattern> = patterns.iter().cloned().collect();
    let sets =
        patterns.chunks(MAX_PATTERNS).map(|some| PatternSet::new(some.iter().cloned()).map(Statement::deny));
    let statements: Vec<Statement> =
        sets.collect::<Result<_, _>>().map_err(|error| unsupported(error.to_string()))?;
    let documents = statements.chunks(MAX_STATEMENTS).map(|some| PolicyDocument::new(some.iter().cloned()));
    documents.collect::<Result<_, _>>().map_err(|error| unsupported(error.to_string()))
}
