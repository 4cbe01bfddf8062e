use core::future::Future;

use audit_log::event::{Details, Field, ResourceId};
use audit_log::{Actor, AppendError, EventError, Outcome};
use core_types::Scope;
use http::Response;
use http::request::Parts;

use crate::arrival::Arrival;
use crate::inventory::Route;

/// Says who calls, where, and whether they may, before anything is recorded of the call.
///
/// # What a wrong answer breaks
/// The record: what is admitted as somebody is recorded as theirs. The gate must change nothing, since it comes before
/// the record; what it found out about the caller it may leave in the request's extensions.
pub trait Gate<B>: Send + Sync + 'static {
    /// Lets a request in, or answers it. Its [`Arrival`] is in the extensions.
    fn admit(&self, parts: &mut Parts, route: &Route) -> impl Future<Output = Admission<B>> + Send;

    /// The answer to a request that cannot be recorded: 503. What the log said is for the operator.
    fn unrecorded(&self, why: &Unrecorded, arrival: Option<&Arrival>) -> Response<B>;
}

/// What a [`Gate`] says to a request.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "in or out: there is no third")]
pub enum Admission<B> {
    /// It may go on.
    Admitted(Caller),
    /// It is answered; the refusal is recorded before.
    Refused(Refusal<B>),
}

/// Why a request has no record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unrecorded {
    /// Its intent, its refusal or its reading could not be made durable; nothing has happened.
    Intent(AppendError),
    /// Its outcome could not be made durable; the effect may have happened.
    Outcome(AppendError),
    /// There was no randomness for its id; nothing has happened.
    Random,
}

/// Who calls, and what it is about.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) actor: Actor,
    pub(crate) tenant: Scope,
    pub(crate) scope: Option<Scope>,
    pub(crate) resource: Option<ResourceId>,
    pub(crate) details: Details,
}

impl Caller {
    /// `actor` calls, in `tenant`.
    #[must_use]
    pub fn new(actor: impl Into<Actor>, tenant: Scope) -> Self {
        let actor = actor.into();
        Self { actor, tenant, scope: None, resource: None, details: Details::new() }
    }

    /// Narrows what is acted on to a scope within the tenant; one outside counts as not said.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Names what is acted on.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<ResourceId>) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    /// Adds a detail of the intent.
    ///
    /// # Errors
    /// As [`Details::insert`].
    pub fn with_detail(mut self, name: &str, value: impl Into<Field>) -> Result<Self, EventError> {
        self.details.insert(name, value)?;
        Ok(self)
    }
}

/// A request that is not let in, and its answer.
#[derive(Debug)]
pub struct Refusal<B> {
    pub(crate) caller: Caller,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Box<str>,
    pub(crate) answer: Response<B>,
}

impl<B> Refusal<B> {
    /// Nobody knows who asks.
    pub fn unauthenticated(tenant: Scope, reason: impl Into<Box<str>>, answer: Response<B>) -> Self {
        let caller = Caller::new(Actor::Anonymous, tenant);
        Self { caller, outcome: Outcome::Unauthenticated, reason: reason.into(), answer }
    }

    /// They may not.
    pub fn denied(caller: Caller, reason: impl Into<Box<str>>, answer: Response<B>) -> Self {
        Self { caller, outcome: Outcome::Denied, reason: reason.into(), answer }
    }

    /// The request makes no sense, or cannot be decided on now.
    pub fn failed(caller: Caller, reason: impl Into<Box<str>>, answer: Response<B>) -> Self {
        Self { caller, outcome: Outcome::Failed, reason: reason.into(), answer }
    }

    /// Names what was asked for.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<ResourceId>) -> Self {
        Self { caller: self.caller.with_resource(resource), ..self }
    }
}
