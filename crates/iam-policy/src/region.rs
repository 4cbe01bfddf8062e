//! Regions: the permissions and places that one subject's decisions can tell apart.
//!
//! A decision looks at a permission through patterns, and at a resource through scopes that contain it. Two
//! permissions that the same patterns match, on two resources that the same scopes contain, are decided alike. So
//! the patterns a subject's decisions look through, closed under intersection, are all there is to ask about: each
//! stands for the permissions of which it is the narrowest. The names of services and verbs are open: there are
//! always more than the patterns name, and a pattern with `*` stands for one of them.

use std::collections::{BTreeMap, BTreeSet};

use core_types::{Limit, Permission, PermissionPattern, Restriction, Scope, Subject};

use crate::condition::Condition;
use crate::directory::{Carried, Directory, Said, Slot};

/// What the decisions about one subject can look through.
#[derive(Debug, Default)]
pub(crate) struct Landmarks {
    patterns: BTreeSet<PermissionPattern>,
    scopes: BTreeSet<Scope>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) ends: BTreeSet<core_types::UnixTime>,
}

/// Patterns closed under intersection, each with a permission of which it is the narrowest.
pub(crate) type PermissionCells = BTreeMap<PermissionPattern, Permission>;

impl Landmarks {
    /// Adds what the directory's decisions about the subject look through.
    pub(crate) fn add_subject(&mut self, directory: &Directory, subject: Subject) {
        let Ok(live) = directory.live(subject) else { return };
        if let Some(kept) = live.kept() {
            self.add_home(&kept.record.home);
        }
        for source in live.sources() {
            if let Some(group) = source.via().and_then(|via| via.record) {
                self.add_home(&group.record.home);
            }
            self.add_carried(directory, source.carried());
        }
        for trust in live.trusts() {
            self.scopes.insert(trust.truster.clone());
            self.add_restriction(&trust.limit);
        }
        if let Slot::Present(kept) = live.boundary() {
            self.add_restriction(&kept.record.limit);
        }
    }

    /// Adds what a restriction looks through.
    pub(crate) fn add_restriction(&mut self, restriction: &Restriction) {
        if let Limit::Only(at) = restriction.expires_at() {
            self.ends.insert(at);
        }
        if let Limit::Only(grants) = restriction.grants() {
            self.scopes.extend(grants.iter().map(|grant| grant.scope.clone()));
            self.patterns.extend(grants.iter().map(|grant| grant.permissions.clone()));
        }
    }

    /// The scopes: each stands for itself and what lies below, but not below a narrower one.
    pub(crate) fn scopes(&self) -> BTreeSet<Scope> {
        self.scopes.iter().cloned().chain([Scope::root()]).collect()
    }

    /// The patterns, closed under intersection, and a permission for each; `None` past `limit`.
    pub(crate) fn permissions(&self, limit: usize) -> Option<PermissionCells> {
        cells(&self.patterns, limit)
    }

    fn add_carried(&mut self, directory: &Directory, carried: &Carried) {
        for (role, bound) in carried.bindings.iter() {
            let record = &bound.record;
            self.scopes.insert(record.scope.clone());
            if let Limit::Only(at) = record.expires_at {
                self.ends.insert(at);
            }
            for said in directory.clauses(role, &record.scope) {
                let Said::Clause(clause) = said else { continue };
                self.patterns.extend(clause.permissions().iter().cloned());
                self.scopes.extend(clause.scopes_below(&record.scope).into_iter().cloned());
                let new = clause.conditions().iter().filter(|it| !self.conditions.contains(it));
                let new: Vec<Condition> = new.cloned().collect();
                self.conditions.extend(new);
            }
        }
    }

    /// What is out of reach lies in another first level.
    fn add_home(&mut self, home: &Scope) {
        let mut ancestors = Some(home.clone());
        while let Some(scope) = ancestors {
            if scope.depth() == 1 {
                self.scopes.insert(scope.clone());
            }
            ancestors = scope.parent();
        }
    }
}

/// The patterns, `*:*`, and what two of them have in common; `None` past `limit`.
pub(crate) fn cells(patterns: &BTreeSet<PermissionPattern>, limit: usize) -> Option<PermissionCells> {
    let services: BTreeSet<&str> = patterns.iter().filter_map(PermissionPattern::service).collect();
    let verbs: BTreeSet<&str> = patterns.iter().filter_map(PermissionPattern::verb).collect();
    let other = Permission::new(&other_than(&services), &other_than(&verbs)).ok()?;
    let mut cells = PermissionCells::new();
    let all = PermissionPattern::all();
    let of_service = || patterns.iter().filter(|pattern| pattern.verb().is_none());
    let of_verb = || patterns.iter().filter(|pattern| pattern.service().is_none());
    let met = of_service().flat_map(|a| of_verb().filter_map(|b| a.intersect(b)));
    for pattern in patterns.iter().cloned().chain([all]).chain(met) {
        let permission = sample(&pattern, &other)?;
        cells.insert(pattern, permission);
        if cells.len() > limit {
            return None;
        }
    }
    Some(cells)
}

/// A permission of the pattern, with the names of `other` where it names none.
pub(crate) fn sample(pattern: &PermissionPattern, other: &Permission) -> Option<Permission> {
    let service = pattern.service().unwrap_or(other.service());
    Permission::new(service, pattern.verb().unwrap_or(other.verb())).ok()
}

/// A name that is none of these.
pub(crate) fn other_than(names: &BTreeSet<&str>) -> String {
    let mut name = "other".to_owned();
    let mut number = 0_usize;
    while names.contains(name.as_str()) {
        number = number.saturating_add(1);
        name = format!("other-{number}");
    }
    name
}
