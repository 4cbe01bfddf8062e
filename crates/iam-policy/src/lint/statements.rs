use core_types::{Limit, PermissionPattern};

use super::{Finding, Lint};
use crate::condition::Condition;
use crate::directory::Directory;
use crate::explain::Fact;
use crate::holder::PolicyId;
use crate::policy::{Effect, Statement};
use crate::record::PolicyRecord;
use crate::registry::Registry;

impl Directory {
    pub(super) fn lint_statements(&self, registry: Option<&Registry>, findings: &mut Vec<Finding>) {
        for (id, node) in self.roles.iter() {
            if node.record.is_unreadable() {
                findings.push(Finding::about(Lint::Unreadable, Fact::Role(*id)));
            }
            let Some(role) = node.record.present() else { continue };
            if role.permissions.is_empty() && role.policies.is_empty() {
                findings.push(Finding::about(Lint::EmptyRole, Fact::Role(*id)));
            }
            for pattern in role.permissions.iter() {
                let of_pattern = |lint| Finding {
                    pattern: Some(pattern.clone()),
                    ..Finding::about(lint, Fact::Role(*id))
                };
                findings.extend(pattern_lints(pattern, Effect::Allow, registry).map(of_pattern));
            }
        }
        for (id, node) in self.policies.iter() {
            if node.record.is_unreadable() {
                findings.push(Finding::about(Lint::Unreadable, Fact::Policy(*id)));
            }
            if let Some(policy) = node.record.present() {
                lint_policy(*id, policy, registry, findings);
            }
        }
    }
}

fn lint_policy(
    id: PolicyId,
    policy: &PolicyRecord,
    registry: Option<&Registry>,
    findings: &mut Vec<Finding>,
) {
    let all = policy.document.statements();
    for (index, statement) in all.iter().enumerate() {
        let about = |lint| Finding { statement: Some(index), ..Finding::about(lint, Fact::Policy(id)) };
        let others = || all.iter().enumerate().filter(move |(other, _)| *other != index);
        // Of two that say the same, the first stays.
        let is_shadowed =
            others().any(|(other, it)| it.contains(statement) && (other < index || !statement.contains(it)));
        let lint = if is_dead(statement, policy) {
            Some(Lint::Dead)
        } else if is_shadowed {
            Some(Lint::Shadowed)
        } else if others().any(|(_, it)| always_denies(it, statement)) {
            Some(Lint::Denied)
        } else {
            None
        };
        findings.extend(lint.map(about));
        for pattern in statement.permissions().iter() {
            let of_pattern = |lint| Finding { pattern: Some(pattern.clone()), ..about(lint) };
            findings.extend(pattern_lints(pattern, statement.effect(), registry).map(of_pattern));
        }
    }
}

fn pattern_lints(
    pattern: &PermissionPattern,
    effect: Effect,
    registry: Option<&Registry>,
) -> impl Iterator<Item = Lint> {
    let is_unknown = registry.is_some_and(|registry| !registry.is_known(pattern));
    let is_growing = effect == Effect::Allow && (pattern.service().is_none() || pattern.verb().is_none());
    let unknown = is_unknown.then_some(Lint::UnknownPermission);
    unknown.into_iter().chain(is_growing.then_some(Lint::Growing))
}

fn is_dead(statement: &Statement, policy: &PolicyRecord) -> bool {
    let conditions = statement.conditions();
    let contradicts = |condition: &Condition| conditions.contains(&condition.opposite());
    let is_nowhere = match statement.scopes() {
        Limit::Unlimited => false,
        Limit::Only(scopes) => scopes.iter().all(|scope| scope.intersect(&policy.home).is_none()),
    };
    // A denial applies under a contradiction, too, where nothing is known.
    statement.permissions().is_empty()
        || is_nowhere
        || (statement.effect() == Effect::Allow && conditions.iter().any(contradicts))
}

/// Whether the one denies all that the other allows, always.
fn always_denies(denial: &Statement, allow: &Statement) -> bool {
    denial.effect() == Effect::Deny
        && allow.effect() == Effect::Allow
        && denial.conditions().is_empty()
        && denial.covers(allow)
}
