//! Who gains or loses what where, from one directory to another: exactly.

mod grid;

use core_types::{Permission, PermissionPattern, Principal, Restriction, Scope, Subject, UnixTime};
use state_store::Revision;

use self::grid::Grid;
use crate::context::Context;
use crate::decision::Decision;
use crate::directory::Directory;
use crate::error::ReachError;
use crate::region::Landmarks;
use crate::request::AccessRequest;

/// The most pairs of a pattern and a scope that the decisions of one subject are compared at.
pub const MAX_COMPARED: usize = 1_000_000;

/// That a subject comes to be allowed something, or ceases to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Who.
    pub subject: Subject,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub permissions: PermissionPattern,
    /// Where: here and below.
    pub scope: Scope,
    /// Whether all of it changes so; else what lies in narrower patterns or scopes that decisions look at may not,
    /// and is listed by itself where it does.
    pub is_whole: bool,
    /// A permission, on this scope, that changes so.
    pub witness: Permission,
    /// What was decided of the witness.
    pub before: Decision,
    /// What is decided of it now.
    pub after: Decision,
}

/// More or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "what changes goes one of two ways")]
pub enum Direction {
    /// It is allowed where it was denied.
    Gains,
    /// It is denied where it was allowed.
    Loses,
}

/// Everything that changes for each subject from `old` to `new`, in sessions of their own, in circumstances of
/// which `context` says what is known: by subject, by scope, by pattern. What is not in one of the changes is
/// decided the same, permissions and places to come included.
///
/// Looks at every subject of both: for an administrator or a review.
///
/// # Errors
/// [`ReachError::TooMany`] past [`MAX_COMPARED`].
pub fn diff(
    old: &Directory,
    new: &Directory,
    now: UnixTime,
    context: &Context,
) -> Result<Vec<Change>, ReachError> {
    let both = old.subjects().chain(new.subjects()).map(|record| record.id);
    let mut subjects: Vec<Subject> = both.collect();
    subjects.sort_unstable();
    subjects.dedup();
    let mut changes = Vec::new();
    for subject in subjects {
        diff_subject(old, new, (subject, now, context), &mut changes)?;
    }
    Ok(changes)
}

fn diff_subject(
    old: &Directory,
    new: &Directory,
    (subject, now, context): (Subject, UnixTime, &Context),
    changes: &mut Vec<Change>,
) -> Result<(), ReachError> {
    let too_many = ReachError::TooMany { what: "patterns and scopes of a subject", limit: MAX_COMPARED };
    let mut landmarks = Landmarks::default();
    landmarks.add_subject(old, subject);
    landmarks.add_subject(new, subject);
    let scopes = landmarks.scopes();
    let cells = landmarks.permissions(MAX_COMPARED).ok_or_else(|| too_many.clone())?;
    if cells.len().saturating_mul(scopes.len()) > MAX_COMPARED {
        return Err(too_many);
    }
    let principal = Principal::subject(subject);
    let whole = Restriction::unrestricted();
    let decide = |directory: &Directory, permission: &Permission, scope: &Scope| {
        let request = AccessRequest::new(&principal, &whole, permission, scope, now);
        directory.at(Revision::ZERO).authorize(&request.with_context(context))
    };
    let grid = Grid::new(&cells, &scopes, |permission, scope| {
        let [before, after] = [old, new].map(|directory| decide(directory, permission, scope).is_allow());
        match (before, after) {
            (false, true) => Some(Direction::Gains),
            (true, false) => Some(Direction::Loses),
            (false, false) | (true, true) => None,
        }
    });
    changes.extend(grid.told().map(|told| Change {
        subject,
        direction: told.direction,
        permissions: told.pattern.clone(),
        scope: told.scope.clone(),
        is_whole: told.is_whole,
        witness: told.permission.clone(),
        before: decide(old, told.permission, told.scope),
        after: decide(new, told.permission, told.scope),
    }));
    Ok(())
}
