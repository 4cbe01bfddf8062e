//! What a principal can do somewhere, and where it can do something: exactly, as patterns and scopes.

use std::collections::BTreeMap;

use core_types::{PermissionPattern, Scope};
use state_store::Revision;

use crate::authorizer::Authorizer;
use crate::decision::Decision;
use crate::error::ReachError;
use crate::region::Landmarks;
use crate::request::AccessRequest;

/// The most patterns, and the most scopes, that one answer tells apart.
pub const MAX_CELLS: usize = 65_536;

/// The most pieces on one page, whatever limit was asked for.
pub const MAX_PAGE: usize = 1000;

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<T> {
    /// Of which permissions, or from which scope down.
    pub of: T,
    /// What is decided there.
    pub decision: Decision,
}

/// A page of an answer.
///
/// Of all pieces that contain what is asked about, the narrowest says what is decided; where there are two, they
/// agree. What no piece contains is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// In order.
    pub pieces: Vec<Piece<T>>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Cursor<T>>,
}

/// A place in the answer of one state of the directory; by another state it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor<T> {
    /// The state.
    pub revision: Revision,
    /// The last piece told.
    pub after: T,
}

impl<T> Cursor<T> {
    /// The place after this piece, by this state: as a page said it, and a client brought it back.
    #[must_use]
    pub const fn new(revision: Revision, after: T) -> Self {
        Self { revision, after }
    }
}

impl Authorizer<'_> {
    /// Everything the request's principal can do on its resource, permissions to come included: at most `limit`
    /// pieces, at most [`MAX_PAGE`], from `from` on. The request's own permission plays no part.
    ///
    /// # Errors
    /// [`ReachError::Cursor`] when the cursor is of another state: begin anew. [`ReachError::TooMany`] past
    /// [`MAX_CELLS`].
    pub fn what_can_exactly(
        &self,
        request: &AccessRequest<'_>,
        (from, limit): (Option<Cursor<PermissionPattern>>, usize),
    ) -> Result<Page<PermissionPattern>, ReachError> {
        let cells = self.landmarks(request).permissions(MAX_CELLS);
        let cells = cells.ok_or(ReachError::TooMany { what: "patterns", limit: MAX_CELLS })?;
        let decided = cells.iter().map(|(pattern, permission)| {
            let decision = self.authorize(&AccessRequest { permission, ..*request });
            (pattern.clone(), decision)
        });
        let decided: BTreeMap<PermissionPattern, Decision> = decided.collect();
        let is_allowed = |pattern: &PermissionPattern| decided.get(pattern).map(Decision::is_allow);
        let all = PermissionPattern::all();
        // What the next wider pieces say, where they agree.
        let inherited = |pattern: &PermissionPattern| {
            if *pattern == all {
                return Some(false);
            }
            let [by_service, by_verb] = sides(pattern).map(|wider| {
                let narrower = wider.filter(|wider| wider != pattern);
                narrower.and_then(|wider| is_allowed(&wider)).or_else(|| is_allowed(&all))
            });
            by_service.filter(|said| by_verb == Some(*said))
        };
        let told = decided.iter().filter(|(pattern, it)| inherited(pattern) != Some(it.is_allow()));
        let told = told.map(|(pattern, decision)| (pattern.clone(), decision.clone()));
        self.page(told, from, limit)
    }

    /// Everywhere the request's principal can use its permission: at most `limit` pieces, at most [`MAX_PAGE`],
    /// from `from` on. A piece is a scope and all that lies below. The request's own resource plays no part.
    ///
    /// # Errors
    /// As [`what_can_exactly`](Self::what_can_exactly).
    pub fn where_can(
        &self,
        request: &AccessRequest<'_>,
        (from, limit): (Option<Cursor<Scope>>, usize),
    ) -> Result<Page<Scope>, ReachError> {
        let scopes = self.landmarks(request).scopes();
        if scopes.len() > MAX_CELLS {
            return Err(ReachError::TooMany { what: "scopes", limit: MAX_CELLS });
        }
        let mut decided: BTreeMap<&str, bool> = BTreeMap::new();
        let mut told = Vec::new();
        // In the order of texts a scope comes after those that contain it, but not always at once.
        for scope in &scopes {
            let decision = self.authorize(&AccessRequest { resource: scope, ..*request });
            let above = scope.ancestor_paths().skip(1).find_map(|path| decided.get(path).copied());
            if above.unwrap_or(false) != decision.is_allow() {
                told.push((scope.clone(), decision.clone()));
            }
            decided.insert(scope.as_path(), decision.is_allow());
        }
        self.page(told, from, limit)
    }

    fn landmarks(&self, request: &AccessRequest<'_>) -> Landmarks {
        let mut landmarks = Landmarks::default();
        landmarks.add_subject(self.directory(), request.principal.rights_of());
        landmarks.add_restriction(request.restriction);
        landmarks
    }

    fn page<T: Clone + Ord>(
        &self,
        told: impl IntoIterator<Item = (T, Decision)>,
        from: Option<Cursor<T>>,
        limit: usize,
    ) -> Result<Page<T>, ReachError> {
        if let Some(found) = from.as_ref().map(|cursor| cursor.revision).filter(|it| *it != self.revision()) {
            return Err(crate::error::CursorError { found, current: self.revision() }.into());
        }
        let limit = limit.clamp(1, MAX_PAGE);
        let is_after = |of: &T| from.as_ref().is_none_or(|cursor| *of > cursor.after);
        let mut rest = told.into_iter().filter(|(of, _)| is_after(of));
        let pieces = rest.by_ref().take(limit).map(|(of, decision)| Piece { of, decision });
        let pieces: Vec<Piece<T>> = pieces.collect();
        let last = pieces.last().filter(|_| rest.next().is_some()).map(|piece| piece.of.clone());
        let next = last.map(|after| Cursor { revision: self.revision(), after });
        Ok(Page { pieces, next })
    }
}

/// The patterns that name one side less; `admin:*` has no spelling, and is in no set.
fn sides(pattern: &PermissionPattern) -> [Option<PermissionPattern>; 2] {
    let service = pattern.service().and_then(|service| format!("{service}:*").parse().ok());
    let verb = pattern.verb().and_then(|verb| format!("*:{verb}").parse().ok());
    [service, verb]
}
