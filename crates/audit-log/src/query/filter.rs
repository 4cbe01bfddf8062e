use core_types::{PermissionPattern, RequestId, Scope, Subject, UnixTime};

use crate::event::{Actor, Entry, Outcome};

/// Which entries are wanted: those that meet every condition. Without one, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    actor: Option<Actor>,
    subject: Option<Subject>,
    action: Option<PermissionPattern>,
    scope: Option<Scope>,
    request: Option<RequestId>,
    outcome: Option<Outcome>,
    from: Option<UnixTime>,
    until: Option<UnixTime>,
}

impl Filter {
    /// No condition.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Exactly this actor; a token is another actor than its owner.
    #[must_use]
    pub fn with_actor(self, actor: impl Into<Actor>) -> Self {
        Self { actor: Some(actor.into()), ..self }
    }

    /// This subject, itself or through any of its tokens.
    #[must_use]
    pub fn with_subject(self, subject: Subject) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// An action of this pattern.
    #[must_use]
    pub fn with_action(self, action: PermissionPattern) -> Self {
        Self { action: Some(action), ..self }
    }

    /// Acted on this scope or below it.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Of this request.
    #[must_use]
    pub fn with_request(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }

    /// Ended like this.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..self }
    }

    /// Came in at this instant or later.
    #[must_use]
    pub fn with_from(self, from: UnixTime) -> Self {
        Self { from: Some(from), ..self }
    }

    /// Came in before this instant.
    #[must_use]
    pub fn with_until(self, until: UnixTime) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Whether the entry meets every condition.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let intent = entry.intent();
        let subject = match intent.actor() {
            Actor::Principal(principal) => Some(principal.rights_of()),
            Actor::Anonymous | Actor::System => None,
        };
        self.actor.is_none_or(|actor| actor == *intent.actor())
            && self.subject.is_none_or(|wanted| Some(wanted) == subject)
            && self.action.as_ref().is_none_or(|pattern| pattern.matches(intent.action().as_permission()))
            && self.scope.as_ref().is_none_or(|scope| scope.contains(intent.scope()))
            && self.request.is_none_or(|request| Some(request) == intent.request())
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome())
            && self.from.is_none_or(|from| from <= intent.started_at())
            && self.until.is_none_or(|until| intent.started_at() < until)
    }
}
