//! What of all that is granted was used, by a record of what was done.

use std::collections::BTreeMap;

use core_types::{Permission, PermissionPattern, Scope, Subject, UnixTime};

use crate::decision::StatementRef;
use crate::directory::{Carried, Directory, Said};
use crate::holder::{BindingId, Holder, RoleRef};
use crate::policy::Effect;

/// Something that was allowed and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the caller builds it")]
pub struct Event<'e> {
    /// Who did it.
    pub subject: Subject,
    /// What.
    pub permission: &'e Permission,
    /// To what.
    pub resource: &'e Scope,
    /// When.
    pub at: UnixTime,
}

/// Which grants were used, and when last; grows with the grants, not with the events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    used: BTreeMap<Place, UnixTime>,
    unplaced: u64,
}

/// One pattern of one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantUse {
    /// To whom it is bound.
    pub holder: Holder,
    /// The binding.
    pub binding: BindingId,
    /// What is bound.
    pub role: RoleRef,
    /// The statement; `None` when it is one of the role's own patterns.
    pub statement: Option<StatementRef>,
    /// The pattern.
    pub permissions: PermissionPattern,
    /// The scope of the binding.
    pub scope: Scope,
    /// When it was used last.
    pub last_used: Option<UnixTime>,
}

type Place = (Holder, BindingId, Option<StatementRef>, PermissionPattern);

impl Usage {
    /// Nothing was done yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { used: BTreeMap::new(), unplaced: 0 }
    }

    /// Takes note of what was done. It used every grant that can have allowed it, by the directory as it is: the
    /// conditions of a statement are taken to have held.
    pub fn observe(&mut self, directory: &Directory, event: &Event<'_>) {
        let mut is_placed = false;
        if let Ok(live) = directory.live(event.subject) {
            let trusts = live.trusts().filter(|trust| {
                trust.is_in_force(event.at) && trust.limit.allows(event.permission, event.resource, event.at)
            });
            let let_in = trusts.flat_map(|trust| live.held_by(trust, event.at));
            for held in live.held(event.at).chain(let_in) {
                let holder = held.source.group_id().map_or(Holder::Subject(event.subject), Holder::Group);
                let scope = &held.bound.record.scope;
                let Some(clause) = held.allowing().filter(|clause| clause.is_at(event.resource)) else {
                    continue;
                };
                let patterns = clause.permissions().iter().filter(|it| it.matches(event.permission));
                for pattern in patterns.filter(|_| scope.contains(event.resource)) {
                    is_placed = true;
                    let place = (holder, held.bound.record.id, clause.reference(), pattern.clone());
                    let last = self.used.entry(place).or_insert(event.at);
                    *last = event.at.max(*last);
                }
            }
        }
        self.unplaced = self.unplaced.saturating_add(u64::from(!is_placed));
    }

    /// How many events nothing in the directory allows any more.
    #[must_use]
    pub const fn unplaced(&self) -> u64 {
        self.unplaced
    }

    /// Every grant of a binding that has not ended and was not used since then, by holder and binding. Had none of
    /// them been there, everything observed since then would have been allowed all the same.
    #[must_use]
    pub fn unused(&self, directory: &Directory, since: UnixTime, now: UnixTime) -> Vec<GrantUse> {
        let mut unused = Vec::new();
        let subjects = directory.subjects.iter().map(|(id, node)| (Holder::Subject(*id), &node.carried));
        let groups = directory.groups.iter().map(|(id, node)| (Holder::Group(*id), &node.carried));
        for (holder, carried) in subjects.chain(groups) {
            self.unused_of(directory, (holder, carried), now, &mut unused);
        }
        unused.retain(|grant| grant.last_used.is_none_or(|last| last < since));
        unused.sort_by(|a, b| {
            let key = |it: &GrantUse| (it.holder, it.binding, it.statement);
            key(a).cmp(&key(b)).then_with(|| a.permissions.cmp(&b.permissions))
        });
        unused
    }

    fn unused_of(
        &self,
        directory: &Directory,
        (holder, carried): (Holder, &Carried),
        now: UnixTime,
        all: &mut Vec<GrantUse>,
    ) {
        for (role, bound) in carried.bindings.iter().filter(|(_, bound)| !bound.record.is_expired(now)) {
            let record = &bound.record;
            for said in directory.clauses(role, &record.scope) {
                let Said::Clause(clause) = said else { continue };
                if clause.effect() == Effect::Deny {
                    continue;
                }
                for pattern in clause.permissions().iter() {
                    let place = (holder, record.id, clause.reference(), pattern.clone());
                    all.push(GrantUse {
                        holder,
                        binding: record.id,
                        role: record.role,
                        statement: clause.reference(),
                        permissions: pattern.clone(),
                        scope: record.scope.clone(),
                        last_used: self.used.get(&place).copied(),
                    });
                }
            }
        }
    }
}
