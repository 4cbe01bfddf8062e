//! What a bound role or policy says, clause by clause.

use core::iter::Enumerate;
use core::slice;

use core_types::{Limit, Scope, UnixTime};

use super::Directory;
use super::index::{RoleNumber, Slot};
use crate::condition::{Condition, Truth};
use crate::context::Context;
use crate::decision::StatementRef;
use crate::holder::PolicyId;
use crate::pattern_set::PatternSet;
use crate::policy::{Effect, Statement};

/// One thing that is said by what is bound.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    /// It allows or denies something.
    Clause(Clause<'a>),
    /// Nobody knows what it says. `None` when that is what is bound itself.
    Unreadable(Option<PolicyId>),
}

/// A role's own patterns, or a statement of a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clause<'a> {
    permissions: &'a PatternSet,
    reference: Option<StatementRef>,
    statement: Option<&'a Statement>,
}

impl<'a> Clause<'a> {
    /// A statement by itself, of no policy yet.
    pub(crate) const fn of(statement: &'a Statement) -> Self {
        Self { permissions: statement.permissions(), reference: None, statement: Some(statement) }
    }

    pub(crate) fn effect(&self) -> Effect {
        self.statement.map_or(Effect::Allow, Statement::effect)
    }

    pub(crate) const fn permissions(&self) -> &'a PatternSet {
        self.permissions
    }

    pub(crate) const fn reference(&self) -> Option<StatementRef> {
        self.reference
    }

    pub(crate) fn conditions(&self) -> &'a [Condition] {
        self.statement.map_or(&[], Statement::conditions)
    }

    /// Whether it is about `scope` and below, where what says it is bound above.
    pub(crate) fn is_at(&self, scope: &Scope) -> bool {
        self.statement.is_none_or(|statement| statement.is_at(scope))
    }

    pub(crate) fn holds(&self, context: &Context, now: UnixTime) -> Truth {
        self.statement.map_or(Truth::True, |statement| statement.holds(context, now))
    }

    /// Where it counts, being bound at `scope`: the scopes of both.
    pub(crate) fn scopes_below<'b>(&self, scope: &'b Scope) -> Vec<&'b Scope>
    where
        'a: 'b,
    {
        match self.statement.map(Statement::scopes) {
            None | Some(Limit::Unlimited) => vec![scope],
            Some(Limit::Only(scopes)) => scopes.iter().filter_map(|own| own.intersect(scope)).collect(),
        }
    }
}

/// All that a role or a policy says where it is bound; allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct Clauses<'a, 's> {
    directory: &'a Directory,
    scope: &'s Scope,
    own: Option<Said<'a>>,
    bound: Option<u32>,
    attached: slice::Iter<'a, (PolicyId, u32)>,
    current: Option<(PolicyId, Enumerate<slice::Iter<'a, Statement>>)>,
}

impl Directory {
    /// What `role` says, being bound at `scope`: its own patterns, then the policies that come with it, in the
    /// order of their ids. Nothing when it does not exist, or has its home elsewhere.
    pub(crate) fn clauses<'a, 's>(&'a self, role: RoleNumber, scope: &'s Scope) -> Clauses<'a, 's> {
        let mut clauses =
            Clauses { directory: self, scope, own: None, bound: None, attached: [].iter(), current: None };
        let own = |permissions| Some(Said::Clause(Clause { permissions, reference: None, statement: None }));
        match role {
            RoleNumber::BuiltIn(role) => clauses.own = self.built_in(role).and_then(own),
            RoleNumber::Policy(number) => clauses.bound = Some(number),
            RoleNumber::Custom(number) => {
                let Some(node) = self.roles.at(number) else { return clauses };
                match &node.record {
                    Slot::Absent => {}
                    Slot::Unreadable => clauses.own = Some(Said::Unreadable(None)),
                    Slot::Present(kept) if kept.record.home.contains(scope) => {
                        clauses.own = own(&kept.record.permissions);
                        clauses.attached = node.policies.iter();
                    }
                    Slot::Present(_) => {}
                }
            }
        }
        clauses
    }

    /// Whether the role or policy exists, and can count at `scope`.
    pub(crate) fn is_role_at(&self, role: RoleNumber, scope: &Scope) -> bool {
        let home = match role {
            RoleNumber::BuiltIn(role) => return self.built_in(role).is_some(),
            RoleNumber::Custom(number) => {
                self.roles.at(number).and_then(|node| node.record.present()).map(|role| &role.home)
            }
            RoleNumber::Policy(number) => {
                self.policies.at(number).and_then(|node| node.record.present()).map(|policy| &policy.home)
            }
        };
        home.is_some_and(|home| home.contains(scope))
    }
}

impl<'a> Iterator for Clauses<'a, '_> {
    type Item = Said<'a>;

    fn next(&mut self) -> Option<Said<'a>> {
        if let Some(own) = self.own.take() {
            return Some(own);
        }
        loop {
            if let Some((policy, statements)) = &mut self.current {
                if let Some((index, statement)) = statements.next() {
                    let reference = Some(StatementRef { policy: *policy, index });
                    return Some(Said::Clause(Clause { reference, ..Clause::of(statement) }));
                }
                self.current = None;
            }
            let (id, number) = match self.bound.take() {
                Some(number) => (None, number),
                None => self.attached.next().map(|(id, number)| (Some(*id), *number))?,
            };
            let Some(node) = self.directory.policies.at(number) else { continue };
            match &node.record {
                Slot::Absent => {}
                Slot::Unreadable => return Some(Said::Unreadable(id)),
                Slot::Present(kept) => {
                    let policy = &kept.record;
                    if policy.home.contains(self.scope) {
                        self.current = Some((policy.id, policy.document.statements().iter().enumerate()));
                    }
                }
            }
        }
    }
}
