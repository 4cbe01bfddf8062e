//! Whether one thing says at least what another says, and where it does not.

use std::collections::BTreeSet;

use core_types::{Permission, Scope, UnixTime};

use crate::circumstances;
use crate::condition::Truth;
use crate::context::Context;
use crate::directory::{Clause, Directory, Said};
use crate::error::ReachError;
use crate::holder::RoleRef;
use crate::pattern_set::PatternSet;
use crate::policy::{Effect, PolicyDocument};
use crate::region;

/// The most questions that two things are compared by.
pub const MAX_QUESTIONS: usize = 1_000_000;

/// The most circumstances among these.
pub const MAX_CIRCUMSTANCES: usize = 16_384;

/// Whether one covers the other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "it does or it does not")]
pub enum Coverage<W> {
    /// Whatever is asked, it says at least as much.
    Whole,
    /// Of this, it says less.
    Lacks(W),
}

/// A question at which one says less than the other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Witness {
    /// To do what.
    pub permission: Permission,
    /// To what.
    pub resource: Scope,
    /// In which circumstances.
    pub context: Context,
    /// When.
    pub now: UnixTime,
    /// What the one says, which should say at least as much.
    pub says: Saying,
    /// What the other says.
    pub other: Saying,
}

/// What is said of a question, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing between these")]
pub enum Saying {
    /// It denies, whatever allows.
    Denies,
    /// It says nothing.
    Nothing,
    /// It allows, and does not deny.
    Allows,
}

impl PatternSet {
    /// Whether every permission that `other` has is in this set, or one that is not.
    pub fn covers(&self, other: &Self) -> Coverage<Permission> {
        let services = self.iter().filter_map(|pattern| pattern.service()).collect();
        let verbs = self.iter().filter_map(|pattern| pattern.verb()).collect();
        let strange = Permission::new(&region::other_than(&services), &region::other_than(&verbs)).ok();
        let missing = other.iter().find(|pattern| !self.contains(pattern));
        // A name that this set does not have is in it by a pattern alone.
        match missing.zip(strange).and_then(|(pattern, strange)| region::sample(pattern, &strange)) {
            None => Coverage::Whole,
            Some(permission) => Coverage::Lacks(permission),
        }
    }
}

impl PolicyDocument {
    /// Whether this says at least what `other` says, of every question, bound at the same place: allows what it
    /// allows, and denies nothing that it does not deny. Exact: permissions, places and circumstances to come
    /// included.
    ///
    /// # Errors
    /// [`ReachError::TooMany`] past [`MAX_QUESTIONS`] or [`MAX_CIRCUMSTANCES`].
    pub fn covers(&self, other: &Self) -> Result<Coverage<Witness>, ReachError> {
        let [own, others] = [self, other].map(|document| {
            document.statements().iter().map(Clause::of).map(Said::Clause).collect::<Vec<_>>()
        });
        compare(&own, &others, &Scope::root())
    }
}

impl Directory {
    /// Whether the role or policy `a` says at least what `b` says, both bound at `scope`; as
    /// [`PolicyDocument::covers`]. What does not exist, or has its home elsewhere, says nothing; what is unreadable
    /// denies everything.
    ///
    /// # Errors
    /// [`ReachError::TooMany`] past [`MAX_QUESTIONS`] or [`MAX_CIRCUMSTANCES`].
    pub fn covers(&self, a: RoleRef, b: RoleRef, scope: &Scope) -> Result<Coverage<Witness>, ReachError> {
        let [a, b] = [a, b].map(|role| {
            let number = self.number(role);
            number.into_iter().flat_map(|number| self.clauses(number, scope)).collect::<Vec<_>>()
        });
        compare(&a, &b, scope)
    }
}

fn compare(a: &[Said<'_>], b: &[Said<'_>], at: &Scope) -> Result<Coverage<Witness>, ReachError> {
    let too_many = ReachError::TooMany { what: "questions", limit: MAX_QUESTIONS };
    let clauses = || {
        a.iter().chain(b).filter_map(|said| match said {
            Said::Clause(clause) => Some(clause),
            Said::Unreadable(_) => None,
        })
    };
    let patterns = clauses().flat_map(|clause| clause.permissions().iter().cloned()).collect();
    let mut scopes: BTreeSet<&Scope> = clauses().flat_map(|clause| clause.scopes_below(at)).collect();
    scopes.insert(at);
    let cells = region::cells(&patterns, MAX_QUESTIONS).ok_or_else(|| too_many.clone())?;
    let conditions = clauses().flat_map(Clause::conditions);
    let circumstances = circumstances::all(conditions, MAX_CIRCUMSTANCES).ok_or_else(|| too_many.clone())?;
    if cells.len().saturating_mul(scopes.len()).saturating_mul(circumstances.len()) > MAX_QUESTIONS {
        return Err(too_many);
    }
    for (context, now) in circumstances {
        for resource in &scopes {
            for permission in cells.values() {
                let [says, other] = [a, b].map(|all| saying(all, permission, resource, (&context, now)));
                if says < other {
                    let (permission, resource) = (permission.clone(), (*resource).clone());
                    return Ok(Coverage::Lacks(Witness { permission, resource, context, now, says, other }));
                }
            }
        }
    }
    Ok(Coverage::Whole)
}

fn saying(
    all: &[Said<'_>],
    permission: &Permission,
    resource: &Scope,
    (context, now): (&Context, UnixTime),
) -> Saying {
    let mut saying = Saying::Nothing;
    for said in all {
        let Said::Clause(clause) = said else { return Saying::Denies };
        if !clause.permissions().matches(permission) || !clause.is_at(resource) {
            continue;
        }
        match (clause.effect(), clause.holds(context, now)) {
            (Effect::Deny, Truth::True | Truth::Unknown) => return Saying::Denies,
            (Effect::Allow, Truth::True) => saying = Saying::Allows,
            (Effect::Deny, Truth::False) | (Effect::Allow, Truth::False | Truth::Unknown) => {}
        }
    }
    saying
}
