//! Roles and bindings as Kubernetes has them (`rbac.authorization.k8s.io/v1`), in YAML or JSON.
//!
//! Decided is what the API server's RBAC authorizer decides of such objects, no more and no less: it only ever allows,
//! and what no rule allows is denied.
//!
//! - A rule allows a request for a resource when it has the verb, the API group, the resource and the name, each by
//!   itself or by `*`. `*` is a word of its own: a rule that lists all verbs there are does not have the verb `*`.
//!   `pods` is not `pods/log`; `*/scale` is that subresource of every resource. A rule with `resourceNames` allows
//!   nothing without a name (`list`, `create`).
//! - A rule allows a path when it has the verb and the path, `*`, or a beginning of it followed by `*`.
//! - Subjects are compared by user name, group or service account. No group is added to those of the request: that is
//!   what the authenticator does (`system:authenticated`, `system:serviceaccounts`, `system:serviceaccounts:NAMESPACE`).
//! - A role binding counts in its namespace, and not for paths. A binding to a role that is not there gives nothing.
//! - The rules of a cluster role with an `aggregationRule` are those of the roles it selects, whatever it lists itself.
//! - An object without a namespace that needs one is in `default`.

mod label;
mod object;
mod request;
mod rule;
mod translate;

use std::collections::{BTreeMap, BTreeSet};

use self::object::{Binding, Objects, Role, RoleName};
pub use self::request::Request;
use self::rule::Rule;
use crate::error::ImportError;
use crate::report::{Fidelity, Report};
use crate::source::SourceFile;
use crate::verdict::{Reason, Verdict};

/// The most objects a source has.
pub const MAX_OBJECTS: usize = 100_000;

/// Roles and bindings.
#[derive(Debug, Clone)]
pub struct Rbac {
    roles: BTreeMap<RoleName, Vec<Rule>>,
    bindings: Vec<Binding>,
    report: Report,
}

impl Rbac {
    /// Reads objects: documents of YAML or JSON, lists of them too. Objects of other kinds are passed over.
    ///
    /// # Errors
    /// [`ImportError`] when a text is no YAML, or two objects have one name.
    pub fn read(files: &[SourceFile<'_>]) -> Result<Self, ImportError> {
        let mut objects = Objects::default();
        for file in files {
            objects.read(file)?;
        }
        let Objects { roles, bindings, mut report } = objects;
        let roles = aggregated(roles);
        for binding in &bindings {
            if !roles.contains_key(&binding.role) {
                let why = format!("{} is not there, so it gives nothing", binding.role);
                report.push(binding.place.clone(), Fidelity::Exact, vec![why]);
            }
        }
        Ok(Self { roles, bindings, report })
    }

    /// What became of each object, as far as [`decide`](Self::decide) is concerned.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The answer to a request.
    pub fn decide(&self, request: &Request) -> Verdict {
        let mut reasons = Vec::new();
        for binding in self.bindings.iter().filter(|binding| binding.concerns(request)) {
            let rules = self.roles.get(&binding.role).map_or(&[][..], Vec::as_slice);
            if let Some(number) = rules.iter().position(|rule| rule.allows(request)) {
                let number = number.saturating_add(1);
                reasons
                    .push(Reason::AllowedBy(format!("{} of {}, rule {number}", binding.place, binding.role)));
            }
        }
        if reasons.is_empty() { Verdict::denied(Reason::NothingAllows) } else { Verdict::Allow(reasons) }
    }
}

/// The rules of all roles, those of aggregated roles filled in: round by round, until nothing is added.
fn aggregated(roles: BTreeMap<RoleName, Role>) -> BTreeMap<RoleName, Vec<Rule>> {
    let mut rules: BTreeMap<RoleName, Vec<Rule>> = BTreeMap::new();
    let mut selected: Vec<(RoleName, Vec<RoleName>)> = Vec::new();
    for (name, role) in &roles {
        let Some(selectors) = &role.aggregation else {
            rules.insert(name.clone(), role.rules.clone());
            continue;
        };
        rules.insert(name.clone(), Vec::new());
        let chosen = roles.iter().filter(|(other, candidate)| {
            *other != name
                && other.namespace.is_none()
                && selectors.iter().any(|selector| selector.selects(&candidate.labels))
        });
        selected.push((name.clone(), chosen.map(|(other, _)| other.clone()).collect()));
    }
    loop {
        let mut is_changed = false;
        for (name, sources) in &selected {
            let gathered: BTreeSet<Rule> =
                sources.iter().filter_map(|source| rules.get(source)).flatten().cloned().collect();
            if let Some(own) = rules.get_mut(name)
                && own.len() < gathered.len()
            {
                *own = gathered.into_iter().collect();
                is_changed = true;
            }
        }
        if !is_changed {
            return rules;
        }
    }
}
