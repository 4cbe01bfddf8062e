//! Who can do something.

use std::collections::BTreeMap;

use core_types::{Permission, Principal, Restriction, Scope, Subject, UnixTime};
use state_store::Revision;

use crate::authorizer::Authorizer;
use crate::context::Context;
use crate::decision::{Allow, Decision};
use crate::error::CursorError;
use crate::request::AccessRequest;

/// The most subjects on one page of [`Authorizer::who_can`], whatever limit was asked for.
pub const MAX_PAGE: usize = 1000;

/// Subjects that can do something, and what allows each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WhoCan {
    /// In the order of their ids.
    pub subjects: Vec<(Subject, Allow)>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Cursor>,
}

/// A place in the answer of one state of the directory; by another state it is refused, because what lies before
/// it may be different there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor {
    /// The state.
    pub revision: Revision,
    /// The last subject told.
    pub after: Subject,
}

impl Cursor {
    /// The place after this subject, by this state: as a page said it, and a client brought it back.
    #[must_use]
    pub const fn new(revision: Revision, after: Subject) -> Self {
        Self { revision, after }
    }
}

impl Authorizer<'_> {
    /// The subjects that can use `permission` on `resource` by sessions of their own, in circumstances of which
    /// `context` says what is known: at most `limit`, at most [`MAX_PAGE`], from `from` on.
    ///
    /// Asks of every subject there is: for an administrator, not for every request.
    ///
    /// # Errors
    /// [`CursorError`] when the cursor is of another state: begin anew.
    pub fn who_can(
        &self,
        permission: &Permission,
        resource: &Scope,
        now: UnixTime,
        context: &Context,
        (from, limit): (Option<Cursor>, usize),
    ) -> Result<WhoCan, CursorError> {
        if let Some(found) = from.map(|cursor| cursor.revision).filter(|found| *found != self.revision()) {
            return Err(CursorError { found, current: self.revision() });
        }
        let limit = limit.clamp(1, MAX_PAGE);
        let whole = Restriction::unrestricted();
        // The least ids after the cursor, and one more to know whether there are any.
        let mut page: BTreeMap<Subject, Allow> = BTreeMap::new();
        let subjects = self.directory().subjects().map(|record| record.id);
        for subject in subjects.filter(|subject| from.is_none_or(|cursor| *subject > cursor.after)) {
            if page.len() > limit && page.last_key_value().is_some_and(|(last, _)| subject > *last) {
                continue;
            }
            let principal = Principal::subject(subject);
            let request = AccessRequest::new(&principal, &whole, permission, resource, now);
            if let Decision::Allow(allow) = self.authorize(&request.with_context(context)) {
                page.insert(subject, allow);
                if page.len() > limit.saturating_add(1) {
                    page.pop_last();
                }
            }
        }
        let has_more = page.len() > limit;
        let subjects: Vec<(Subject, Allow)> = page.into_iter().take(limit).collect();
        let last = subjects.last().map(|(subject, _)| *subject).filter(|_| has_more);
        let next = last.map(|after| Cursor { revision: self.revision(), after });
        Ok(WhoCan { subjects, next })
    }
}
