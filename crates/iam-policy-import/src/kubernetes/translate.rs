//! From Kubernetes' objects to a directory of our own.

use std::collections::BTreeMap;

use core_types::{PermissionPattern, Scope, SecureRandom, UnixTime};
use iam_policy::PatternSet;

use super::Rbac;
use super::object::{RoleName, Subject};
use super::rule::Rule;
use crate::directory::{Builder, Translation};
use crate::error::ImportError;
use crate::report::Fidelity;
use crate::source::shown;

impl Rbac {
    /// Translates the objects into a directory of `iam-policy` at `home`.
    ///
    /// The verb `get` on `pods` becomes `k8s-pods:get`, on `pods/log` `k8s-pods-log:get`, on `deployments` of `apps`
    /// `k8s-deployments--apps:get`. A role binding is one at the scope `namespace/NAME` below `home`, a cluster role
    /// binding one at `home`. What has no permission of ours (named resources, paths, `*` for groups or resources,
    /// which would be about more than Kubernetes) is left out. Groups have no members: the source does not know them.
    ///
    /// # Errors
    /// [`ImportError`] past a bound of `iam-policy`.
    pub fn translate(
        &self,
        home: &Scope,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Translation, ImportError> {
        // What was not read cannot be translated either.
        let mut report = self.report.lacking();
        let mut builder = Builder::new(home, now, rng);
        let mut roles: BTreeMap<&RoleName, String> = BTreeMap::new();
        for (name, rules) in &self.roles {
            let mut lost = Vec::new();
            let Some(scope) = place(home, name.namespace.as_deref()) else {
                report.push(
                    name.to_string(),
                    Fidelity::Refused,
                    vec!["the namespace is no scope".to_owned()],
                );
                continue;
            };
            let patterns: Vec<PermissionPattern> =
                rules.iter().flat_map(|rule| permissions(rule, &mut lost)).collect();
            let patterns = PatternSet::new(patterns).unwrap_or_else(|error| {
                lost.push(error.to_string());
                PatternSet::default()
            });
            let fidelity = match (lost.is_empty(), patterns.is_empty()) {
                (true, _) => Fidelity::Exact,
                (false, false) => Fidelity::Narrowed,
                (false, true) => Fidelity::Refused,
            };
            let patterns: Vec<PermissionPattern> = patterns.iter().cloned().collect();
            let full = match &name.namespace {
                None => name.name.clone(),
                Some(namespace) => format!("{namespace}/{}", name.name),
            };
            let id = builder.role(&full, &scope, &patterns, &[])?;
            roles.insert(name, id);
            lost.dedup();
            report.push(name.to_string(), fidelity, lost);
        }
        for binding in &self.bindings {
            let refused = |why: &str| (Fidelity::Refused, vec![why.to_owned()]);
            let (fidelity, reasons) =
                match (roles.get(&binding.role), place(home, binding.namespace.as_deref())) {
                    (None, _) => refused("its role is not there, or left out"),
                    (_, None) => refused("its namespace is no scope"),
                    (Some(role), Some(scope)) => {
                        for subject in &binding.subjects {
                            let holder = match subject {
                                Subject::User(name) => builder.user(name)?,
                                Subject::Group(name) => builder.group(name)?,
                                Subject::ServiceAccount { namespace, name } => {
                                    builder.service_account(&format!("{namespace}/{name}"))?
                                }
                            };
                            builder.bind(role, &holder, &scope)?;
                        }
                        (Fidelity::Exact, Vec::new())
                    }
                };
            report.push(binding.place.clone(), fidelity, reasons);
        }
        builder.finish(report)
    }
}

fn place(home: &Scope, namespace: Option<&str>) -> Option<Scope> {
    match namespace {
        None => Some(home.clone()),
        Some(namespace) => home.child("namespace", namespace).ok(),
    }
}

fn permissions(rule: &Rule, lost: &mut Vec<String>) -> Vec<PermissionPattern> {
    if !rule.paths.is_empty() {
        lost.push("paths are no resources".to_owned());
    }
    if !rule.resource_names.is_empty() {
        lost.push("named resources are left out".to_owned());
        return Vec::new();
    }
    let mut patterns = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            let Some(service) = service(group, resource) else {
                lost.push(format!("no service is like {}", shown(&format!("{group}/{resource}"))));
                continue;
            };
            for verb in &rule.verbs {
                match format!("{service}:{verb}").parse() {
                    Ok(pattern) => patterns.push(pattern),
                    Err(_) => lost.push(format!("no verb is like {}", shown(verb))),
                }
            }
        }
    }
    patterns
}

/// Different for different resources: no part may have the hyphens that join the parts.
fn service(group: &str, resource: &str) -> Option<String> {
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let parts: Vec<&str> = resource.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_plain(part)) {
        return None;
    }
    let own = format!("k8s-{}", parts.join("-"));
    if group.is_empty() {
        return Some(own);
    }
    let labels: Vec<&str> = group.split('.').collect();
    labels.iter().all(|label| is_plain(label)).then(|| format!("{own}--{}", labels.join("-")))
}
