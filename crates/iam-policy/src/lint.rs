//! What looks wrong in a directory, with codes that do not change.

mod statements;

use core_types::{Limit, PermissionPattern, UnixTime};

use crate::directory::{Bound, Directory, RoleNumber, Said, Slot, reaches};
use crate::explain::Fact;
use crate::holder::{Holder, RoleRef};
use crate::policy::Effect;
use crate::record::TrustRecord;
use crate::registry::Registry;

/// Something that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub lint: Lint,
    /// About which record.
    pub about: Fact,
    /// Which statement of a policy, counted from 0.
    pub statement: Option<usize>,
    /// Which pattern.
    pub pattern: Option<PermissionPattern>,
}

/// A kind of finding. A code is never given to another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lint {
    /// `IAM001`: the record cannot be read; it denies what it may have denied.
    Unreadable,
    /// `IAM002`: the binding is of a role, policy or holder that does not exist; it says nothing.
    Dangling,
    /// `IAM003`: the binding's scope is out of reach of its holder's home, or outside the home of what it
    /// binds; it says nothing.
    OutOfReach,
    /// `IAM004`: the binding has ended; it says nothing.
    Expired,
    /// `IAM005`: another binding gives the same holder the same, here and above, for as long.
    Redundant,
    /// `IAM006`: the statement names no permission, no scope or none within the policy's home, or allows under
    /// conditions that contradict each other; it says nothing.
    Dead,
    /// `IAM007`: another statement of the policy says at least the same.
    Shadowed,
    /// `IAM008`: the statement allows what another one of the policy always denies.
    Denied,
    /// `IAM009`: the pattern matches nothing that the program knows.
    UnknownPermission,
    /// `IAM010`: what is allowed has a wildcard, and grows by whatever is added later.
    Growing,
    /// `IAM011`: the binding allows everything everywhere.
    Administrator,
    /// `IAM012`: the binding allows, by a narrower pattern than that, to give what one does not hold.
    Escalator,
    /// `IAM013`: the role permits nothing, and brings no policy.
    EmptyRole,
    /// `IAM014`: something is bound to the group, and neither members nor groups are in it.
    NoMembers,
    /// `IAM015`: glass was broken, and nobody has closed the emergency.
    BrokenGlass,
    /// `IAM016`: the trust has ended, is not accepted, or names no two tenants; it lets nobody in.
    IdleTrust,
    /// `IAM017`: the groups that the group is in are in a circle, or more or deeper than may be; its members are denied
    /// everything where it can count.
    Tangled,
    /// `IAM018`: a group of the nesting does not exist, or the two are of different tenants; it says nothing.
    IdleNesting,
}

impl Lint {
    /// The code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "IAM001",
            Self::Dangling => "IAM002",
            Self::OutOfReach => "IAM003",
            Self::Expired => "IAM004",
            Self::Redundant => "IAM005",
            Self::Dead => "IAM006",
            Self::Shadowed => "IAM007",
            Self::Denied => "IAM008",
            Self::UnknownPermission => "IAM009",
            Self::Growing => "IAM010",
            Self::Administrator => "IAM011",
            Self::Escalator => "IAM012",
            Self::EmptyRole => "IAM013",
            Self::NoMembers => "IAM014",
            Self::BrokenGlass => "IAM015",
            Self::IdleTrust => "IAM016",
            Self::Tangled => "IAM017",
            Self::IdleNesting => "IAM018",
        }
    }

    /// Whether what it is about could be taken away, one at a time, and nothing would be decided otherwise from
    /// now on.
    #[must_use]
    pub const fn is_without_effect(self) -> bool {
        matches!(
            self,
            Self::Dangling
                | Self::OutOfReach
                | Self::Expired
                | Self::Redundant
                | Self::Dead
                | Self::Shadowed
                | Self::Denied
                | Self::IdleTrust
                | Self::IdleNesting
        )
    }
}

impl Directory {
    /// Everything that looks wrong, in order. With a registry, patterns that match nothing in it too.
    ///
    /// Looks at every record there is: for an administrator or a nightly run.
    #[must_use]
    pub fn lint(&self, now: UnixTime, registry: Option<&Registry>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (subject, node) in self.subjects.iter() {
            let holder = Holder::Subject(*subject);
            if node.record.is_unreadable() {
                findings.push(Finding::about(Lint::Unreadable, Fact::Subject(*subject)));
            }
            if node.boundary.is_unreadable() {
                findings.push(Finding::about(Lint::Unreadable, Fact::Boundary(*subject)));
            }
            for membership in node.groups.iter().filter(|membership| membership.joined.is_none()) {
                let fact = Fact::Membership(membership.group, *subject);
                findings.push(Finding::about(Lint::Unreadable, fact));
            }
            let unreadable = node.carried.unreadable.iter();
            findings
                .extend(unreadable.map(|id| Finding::about(Lint::Unreadable, Fact::Binding(holder, *id))));
        }
        for (id, node) in self.groups.iter() {
            let holder = Holder::Group(*id);
            if node.record.is_unreadable() {
                findings.push(Finding::about(Lint::Unreadable, Fact::Group(*id)));
            }
            let unreadable = node.carried.unreadable.iter();
            findings
                .extend(unreadable.map(|id| Finding::about(Lint::Unreadable, Fact::Binding(holder, *id))));
            let is_without_members = node.members == 0 && node.nest.inners.is_empty();
            if is_without_members && !node.carried.bindings.is_empty() {
                findings.push(Finding::about(Lint::NoMembers, Fact::Group(*id)));
            }
        }
        self.lint_nestings(&mut findings);
        self.lint_bindings(now, &mut findings);
        self.lint_statements(registry, &mut findings);
        findings.extend(
            self.unknown_keys().map(|key| Finding::about(Lint::Unreadable, Fact::Unknown(key.clone()))),
        );
        findings.extend(self.all_glass().map(|(id, is_unreadable)| {
            let lint = if is_unreadable { Lint::Unreadable } else { Lint::BrokenGlass };
            Finding::about(lint, Fact::BreakGlass(id))
        }));
        findings.extend(self.trusts.iter().filter_map(|(id, slot)| {
            let lint = match slot.present() {
                None => Lint::Unreadable,
                Some(trust) if is_idle(trust, now) => Lint::IdleTrust,
                Some(_) => return None,
            };
            Some(Finding::about(lint, Fact::Trust(id)))
        }));
        findings.sort_unstable();
        findings
    }

    fn lint_nestings(&self, findings: &mut Vec<Finding>) {
        for (inner, node) in self.groups.iter() {
            if node.nest.is_tangled() {
                findings.push(Finding::about(Lint::Tangled, Fact::Group(*inner)));
            }
            for outer in node.nest.outers.iter() {
                let outer_node = self.groups.get(&outer.group);
                let slots = [outer_node.map(|node| &node.record), Some(&node.record)];
                let is_gone = slots.iter().any(|slot| slot.is_none_or(Slot::is_absent));
                let [outer_home, home] = slots.map(|slot| Some(slot?.present()?.home.first_level()));
                let is_apart = outer_home.zip(home).is_some_and(|(outer, inner)| outer != inner);
                let lint = if outer.since.is_none() {
                    Lint::Unreadable
                } else if is_gone || is_apart {
                    Lint::IdleNesting
                } else {
                    continue;
                };
                findings.push(Finding::about(lint, Fact::Nesting(outer.group, *inner)));
            }
        }
    }

    fn lint_bindings(&self, now: UnixTime, findings: &mut Vec<Finding>) {
        let subjects = self.subjects.iter().map(|(_, node)| &node.carried);
        let groups = self.groups.iter().map(|(_, node)| &node.carried);
        for carried in subjects.chain(groups) {
            for (role, bound) in carried.bindings.iter() {
                let record = &bound.record;
                let found = |lint| Finding::about(lint, Fact::Binding(record.holder, record.id));
                let is_redundant = carried.bindings.iter().any(|(_, other)| {
                    makes_redundant(other, bound) && self.says_as_much(role, (other, bound), now)
                });
                let lint = if record.is_expired(now) {
                    Some(Lint::Expired)
                } else if self.is_dangling(bound) {
                    Some(Lint::Dangling)
                } else if self.is_out_of_reach(role, bound, now) {
                    Some(Lint::OutOfReach)
                } else if is_redundant {
                    Some(Lint::Redundant)
                } else {
                    self.power(role, bound)
                };
                findings.extend(lint.map(found));
            }
        }
    }

    fn is_dangling(&self, bound: &Bound) -> bool {
        let record = &bound.record;
        let has_role = match record.role {
            RoleRef::BuiltIn(_) => true,
            RoleRef::Custom(role) => self.roles.get(&role).is_some_and(|node| !node.record.is_absent()),
            RoleRef::Policy(id) => self.policies.get(&id).is_some_and(|node| !node.record.is_absent()),
        };
        let has_holder = match record.holder {
            Holder::Subject(id) => self.subjects.get(&id).is_some_and(|node| !node.record.is_absent()),
            Holder::Group(id) => self.groups.get(&id).is_some_and(|node| !node.record.is_absent()),
        };
        !has_role || !has_holder
    }

    fn is_out_of_reach(&self, role: RoleNumber, bound: &Bound, now: UnixTime) -> bool {
        let record = &bound.record;
        // What is unreadable may be at home anywhere.
        let home = match record.holder {
            Holder::Subject(id) => self.subject(id).map(|subject| &subject.home),
            Holder::Group(id) => self.group(id).map(|group| &group.home),
        };
        let says_nothing = self.clauses(role, &record.scope).next().is_none();
        home.is_some_and(|home| !reaches(home, &record.scope) && !self.is_let_in(home, &record.scope, now))
            || (says_nothing && !self.is_role_at(role, &record.scope))
    }

    /// Whether what both bind says as much where the other, higher one is bound.
    fn says_as_much(&self, role: RoleNumber, (other, bound): (&Bound, &Bound), now: UnixTime) -> bool {
        // A policy whose home contains the scope above contains the scope below, so they say as much as each
        // other when there are as many clauses.
        let count = |bound: &Bound| self.clauses(role, &bound.record.scope).count();
        !self.is_out_of_reach(role, other, now) && count(other) == count(bound)
    }

    /// What is worth knowing of a binding that counts.
    fn power(&self, role: RoleNumber, bound: &Bound) -> Option<Lint> {
        let escalate: PermissionPattern = "iam:escalate".parse().ok()?;
        let allows = |wanted: &PermissionPattern, everywhere: bool| {
            self.clauses(role, &bound.record.scope).any(|said| match said {
                Said::Clause(clause) if clause.effect() == Effect::Allow => {
                    let scopes = clause.scopes_below(&bound.record.scope);
                    clause.permissions().contains(wanted)
                        && scopes.iter().any(|scope| scope.is_root() || !everywhere)
                }
                Said::Clause(_) | Said::Unreadable(_) => false,
            })
        };
        if allows(&PermissionPattern::all(), true) {
            Some(Lint::Administrator)
        } else {
            allows(&escalate, false).then_some(Lint::Escalator)
        }
    }
}

impl Finding {
    const fn about(lint: Lint, about: Fact) -> Self {
        Self { lint, about, statement: None, pattern: None }
    }
}

fn is_idle(trust: &TrustRecord, now: UnixTime) -> bool {
    let names_two = trust.truster.depth() == 1 && trust.trusted.depth() == 1;
    !names_two || trust.truster == trust.trusted || !trust.is_in_force(now)
}

/// Whether the one binds the same, here and above, for as long; of two that bind the same, the first stays.
///
/// What a group has at the root counts for members at home at the root alone, and who they are changes: below the
/// root, it takes a binding of the same tenant.
fn makes_redundant(other: &Bound, bound: &Bound) -> bool {
    let (other, bound) = (&other.record, &bound.record);
    let lasts = match (other.expires_at, bound.expires_at) {
        (Limit::Unlimited, _) => true,
        (Limit::Only(_), Limit::Unlimited) => false,
        (Limit::Only(other), Limit::Only(bound)) => other >= bound,
    };
    let is_same = other.scope == bound.scope && other.expires_at == bound.expires_at;
    let counts_for_all =
        matches!(bound.holder, Holder::Subject(_)) || !other.scope.is_root() || bound.scope.is_root();
    other.role == bound.role
        && other.id != bound.id
        && other.scope.contains(&bound.scope)
        && counts_for_all
        && lasts
        && (!is_same || other.id < bound.id)
}
