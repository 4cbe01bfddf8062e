//! Policy documents: statements that allow or deny.
//!
//! A policy is bound to a subject or a group at a scope, as a role is, or attached to a role, and counts
//! wherever the role is bound. As a document it reads
//!
//! ```json
//! {"statements": [
//!   {"effect": "allow", "permissions": ["apps:*"], "scopes": "unlimited", "conditions": []},
//!   {"effect": "deny", "permissions": ["*:delete"], "scopes": {"only": ["project/web"]},
//!    "conditions": [{"not": true, "test": "mfa"}]}
//! ]}
//! ```
//!
//! Every field is there, and *no limit* is said: `"unlimited"` is everywhere below the binding,
//! `{"only": []}` nowhere.

use core_types::{Limit, Permission, Scope, UnixTime};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Truth};
use crate::context::Context;
use crate::error::PolicyError;
use crate::pattern_set::PatternSet;

/// The most statements a document has.
pub const MAX_STATEMENTS: usize = 32;

/// The most scopes a statement names.
pub const MAX_SCOPES: usize = 32;

/// The most conditions a statement has.
pub const MAX_CONDITIONS: usize = 16;

/// Whether a statement gives or forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a third effect must break whoever combines them")]
pub enum Effect {
    /// It gives, where all conditions are true.
    Allow,
    /// It forbids, whatever gives, where no condition is false.
    Deny,
}

/// One rule of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawStatement", into = "RawStatement")]
pub struct Statement {
    effect: Effect,
    permissions: PatternSet,
    // INVARIANT: sorted, none within another, at most MAX_SCOPES.
    scopes: Limit<Vec<Scope>>,
    // INVARIANT: at most MAX_CONDITIONS.
    conditions: Vec<Condition>,
}

impl Statement {
    /// Allows these, wherever the document counts.
    #[must_use]
    pub const fn allow(permissions: PatternSet) -> Self {
        Self { effect: Effect::Allow, permissions, scopes: Limit::Unlimited, conditions: Vec::new() }
    }

    /// Denies these, wherever the document counts.
    #[must_use]
    pub const fn deny(permissions: PatternSet) -> Self {
        Self { effect: Effect::Deny, permissions, scopes: Limit::Unlimited, conditions: Vec::new() }
    }

    /// Only at these scopes and below; at none of them it counts nowhere.
    ///
    /// # Errors
    /// [`PolicyError::TooMany`] past [`MAX_SCOPES`].
    pub fn at(mut self, scopes: impl IntoIterator<Item = Scope>) -> Result<Self, PolicyError> {
        let all: Vec<Scope> = scopes.into_iter().take(MAX_SCOPES.saturating_add(1)).collect();
        if all.len() > MAX_SCOPES {
            return Err(PolicyError::TooMany { what: "scopes", limit: MAX_SCOPES });
        }
        let within_another = |scope: &Scope| all.iter().any(|other| other != scope && other.contains(scope));
        let mut outermost: Vec<Scope> = all.iter().filter(|scope| !within_another(scope)).cloned().collect();
        outermost.sort_unstable();
        outermost.dedup();
        self.scopes = Limit::Only(outermost);
        Ok(self)
    }

    /// Only where this holds too.
    ///
    /// # Errors
    /// [`PolicyError::TooMany`] past [`MAX_CONDITIONS`].
    pub fn when(mut self, condition: Condition) -> Result<Self, PolicyError> {
        if self.conditions.len() >= MAX_CONDITIONS {
            return Err(PolicyError::TooMany { what: "conditions", limit: MAX_CONDITIONS });
        }
        self.conditions.push(condition);
        Ok(self)
    }

    /// Whether it gives or forbids.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// What.
    #[must_use]
    pub const fn permissions(&self) -> &PatternSet {
        &self.permissions
    }

    /// Where, below the binding.
    #[must_use]
    pub fn scopes(&self) -> Limit<&[Scope]> {
        match &self.scopes {
            Limit::Unlimited => Limit::Unlimited,
            Limit::Only(scopes) => Limit::Only(scopes),
        }
    }

    /// Under which conditions; all of them.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Whether it is about this permission and this place.
    #[must_use]
    pub fn concerns(&self, permission: &Permission, resource: &Scope) -> bool {
        self.permissions.matches(permission) && self.is_at(resource)
    }

    /// Whether all conditions hold.
    #[must_use]
    pub fn holds(&self, context: &Context, now: UnixTime) -> Truth {
        Truth::all(self.conditions.iter().map(|condition| condition.holds(context, now)))
    }

    /// Whether it is about this place and below.
    pub(crate) fn is_at(&self, scope: &Scope) -> bool {
        match &self.scopes {
            Limit::Unlimited => true,
            Limit::Only(scopes) => scopes.iter().any(|own| own.contains(scope)),
        }
    }

    /// Whether it says at least what `other` says, wherever and whenever that applies.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.effect == other.effect
            && self.covers(other)
            && self.conditions.iter().all(|condition| other.conditions.contains(condition))
    }

    /// Whether it is about all that `other` is about.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let scopes = match (&self.scopes, &other.scopes) {
            (Limit::Unlimited, _) => true,
            (Limit::Only(_), Limit::Unlimited) => self.is_at(&Scope::root()),
            (Limit::Only(_), Limit::Only(scopes)) => scopes.iter().all(|scope| self.is_at(scope)),
        };
        scopes && other.permissions.iter().all(|pattern| self.permissions.contains(pattern))
    }
}

/// Statements, in an order that decides nothing but which of them is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "RawDocument", into = "RawDocument")]
pub struct PolicyDocument {
    // INVARIANT: at most MAX_STATEMENTS.
    statements: Vec<Statement>,
}

impl PolicyDocument {
    /// The document of these statements; of none, it says nothing.
    ///
    /// # Errors
    /// [`PolicyError::TooMany`] past [`MAX_STATEMENTS`].
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Result<Self, PolicyError> {
        let statements: Vec<Statement> =
            statements.into_iter().take(MAX_STATEMENTS.saturating_add(1)).collect();
        if statements.len() > MAX_STATEMENTS {
            return Err(PolicyError::TooMany { what: "statements", limit: MAX_STATEMENTS });
        }
        Ok(Self { statements })
    }

    /// The statements.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatement {
    effect: Effect,
    permissions: PatternSet,
    scopes: Limit<Vec<Scope>>,
    conditions: Vec<Condition>,
}

impl TryFrom<RawStatement> for Statement {
    type Error = PolicyError;

    fn try_from(raw: RawStatement) -> Result<Self, PolicyError> {
        let RawStatement { effect, permissions, scopes, conditions } = raw;
        let plain = Self { effect, permissions, scopes: Limit::Unlimited, conditions: Vec::new() };
        let placed = match scopes {
            Limit::Unlimited => plain,
            Limit::Only(scopes) => plain.at(scopes)?,
        };
        conditions.into_iter().try_fold(placed, Self::when)
    }
}

impl From<Statement> for RawStatement {
    fn from(statement: Statement) -> Self {
        let Statement { effect, permissions, scopes, conditions } = statement;
        Self { effect, permissions, scopes, conditions }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    statements: Vec<Statement>,
}

impl TryFrom<RawDocument> for PolicyDocument {
    type Error = PolicyError;

    fn try_from(raw: RawDocument) -> Result<Self, PolicyError> {
        Self::new(raw.statements)
    }
}

impl From<PolicyDocument> for RawDocument {
    fn from(document: PolicyDocument) -> Self {
        Self { statements: document.statements }
    }
}
