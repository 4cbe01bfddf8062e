use core_types::Scope;
use serde::Serialize;

use crate::decision::{Decision, DenyReason, NearMiss, StatementRef};
use crate::explain::{Allowing, Explanation};
use crate::holder::{BindingId, GroupId, RoleRef};

/// An answer as a document, the one that decides first among its reasons.
///
/// ```json
/// {"decision":"deny","reasons":[{"code":"no_grant"},
///   {"code":"near","missing":"scope","binding":"bnd_…","role":"rol_…","via":"grp_…"}]}
/// ```
///
/// `code` is `granted` (allows; all there are), one of [`DenyReason::code`] (denies; the first of the table, then
/// every denial there is), or `near` (would allow it if what is `missing` were otherwise). `request` says the
/// question was none. The reasons are for administrators: who was refused is told that, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AnswerDocument {
    /// What was decided.
    pub decision: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break the caller")]
pub enum Outcome {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
}

/// One reason; what does not belong to its code is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// What kind of reason it is.
    pub code: &'static str,
    /// What is otherwise, of a near miss: `condition`, `expired`, `out_of_reach`, `role`, `scope`, `permission`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<&'static str>,
    /// The binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// What it binds.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub role: Option<RoleRef>,
    /// The group it is bound to; left out when it is the subject's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<GroupId>,
    /// How the subject comes to be in that group, where it is no member of it: the group it is a member of first, that
    /// group last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// `pol_…#0`: the statement of the policy, counted from 0; or the policy alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The scope of the binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Of a denial: whether its conditions are known to hold, rather than unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_certain: Option<bool>,
    /// What else there is to say, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl AnswerDocument {
    /// The answer that this explains.
    #[must_use]
    pub fn of(explanation: &Explanation) -> Self {
        let by = |reason: Reason| {
            let way = reason.via.and_then(|via| explanation.ways.get(&via));
            Reason { groups: way.cloned().unwrap_or_default(), ..reason }
        };
        let near = explanation.near.iter().map(Reason::near).map(by);
        match &explanation.decision {
            Decision::Allow(_) => {
                let reasons = explanation.allowing.iter().map(Reason::granted).map(by).collect();
                Self { decision: Outcome::Allow, reasons }
            }
            Decision::Deny(deny) => {
                let first = by(Reason::denied(&deny.reason));
                let others = explanation.denying.iter().map(Reason::denied).map(by);
                let others = others.filter(|other| *other != first);
                let reasons = core::iter::once(first.clone()).chain(others).chain(near).collect();
                Self { decision: Outcome::Deny, reasons }
            }
        }
    }

    /// The answer to what is no question: deny.
    #[must_use]
    pub fn refused(message: String) -> Self {
        let reason = Reason { code: "request", message: Some(message), ..Reason::default() };
        Self { decision: Outcome::Deny, reasons: vec![reason] }
    }

    /// The text, without white space.
    ///
    /// # Panics
    /// Never: every part has a JSON form.
    #[must_use]
    pub fn to_json(&self) -> String {
        match serde_json::to_string(self) {
            Ok(text) => text,
            Err(error) => unreachable!("every part has a JSON form: {error}"),
        }
    }
}

impl Reason {
    fn granted(allowing: &Allowing) -> Self {
        Self {
            code: "granted",
            binding: Some(allowing.binding),
            role: Some(allowing.role),
            via: allowing.via,
            statement: allowing.statement.map(named),
            scope: Some(allowing.scope.clone()),
            ..Self::default()
        }
    }

    fn near(miss: &NearMiss) -> Self {
        Self {
            code: "near",
            missing: Some(miss.missing.code()),
            binding: Some(miss.binding),
            role: Some(miss.role),
            via: miss.via,
            statement: miss.statement.map(named),
            ..Self::default()
        }
    }

    fn denied(reason: &DenyReason) -> Self {
        let plain = Self { code: reason.code(), ..Self::default() };
        match reason {
            DenyReason::UnreadablePolicy
            | DenyReason::UnknownSubject
            | DenyReason::UnreadableSubject
            | DenyReason::Disabled
            | DenyReason::TenantMismatch
            | DenyReason::NoGrant => plain,
            DenyReason::RestrictionExpired { at } => Self { message: Some(format!("at {at}")), ..plain },
            DenyReason::TangledGroups { group } => Self { via: Some(*group), ..plain },
            DenyReason::UnreadableBinding { binding, via } => {
                Self { binding: Some(*binding), via: *via, ..plain }
            }
            DenyReason::UnreadableRole { binding, via, policy } => {
                let statement = policy.map(|policy| policy.to_string());
                Self { binding: Some(*binding), via: *via, statement, ..plain }
            }
            DenyReason::ExplicitDeny { binding, via, statement, is_certain } => Self {
                binding: Some(*binding),
                via: *via,
                statement: Some(named(*statement)),
                is_certain: Some(*is_certain),
                ..plain
            },
            DenyReason::UnreadableBoundary { granted_by }
            | DenyReason::LimitedByBoundary { granted_by }
            | DenyReason::LimitedByRestriction { granted_by } => Self { binding: Some(*granted_by), ..plain },
        }
    }
}

fn named(statement: StatementRef) -> String {
    format!("{}#{}", statement.policy, statement.index)
}

fn text<S: serde::Serializer>(role: &Option<RoleRef>, serializer: S) -> Result<S::Ok, S::Error> {
    match role {
        Some(role) => serializer.collect_str(role),
        None => serializer.serialize_none(),
    }
}
