use core_types::{RequestId, Scope, UnixTime};
use serde::{Deserialize, Serialize};

use super::actor::{Action, Actor};
use super::client::{Client, UserAgent};
use super::details::Details;
use super::field::Field;
use super::text::ResourceId;
use crate::error::EventError;

/// Who wants to do what, where: what is known of a call before its effect.
///
/// The tenant says whose log this is part of: a [`Reader`](crate::Reader) made for a scope sees the entries
/// whose tenant lies in that scope. Choose the tenant by what is acted on, not by who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireIntent")]
pub struct Intent {
    tenant: Scope,
    scope: Scope,
    actor: Actor,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<UserAgent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestId>,
    started_at: UnixTime,
    #[serde(skip_serializing_if = "Details::is_empty")]
    details: Details,
}

impl Intent {
    /// `actor` wants to do `action` in `tenant`; the request came in at `started_at`.
    #[must_use]
    pub fn new(
        actor: impl Into<Actor>,
        action: impl Into<Action>,
        tenant: Scope,
        started_at: UnixTime,
    ) -> Self {
        Self {
            scope: tenant.clone(),
            tenant,
            actor: actor.into(),
            action: action.into(),
            resource: None,
            client: None,
            user_agent: None,
            request: None,
            started_at,
            details: Details::new(),
        }
    }

    /// Narrows what is acted on to a scope within the tenant; it is the tenant's whole scope otherwise.
    ///
    /// # Errors
    /// [`EventError::OutsideTenant`].
    pub fn with_scope(self, scope: Scope) -> Result<Self, EventError> {
        if self.tenant.contains(&scope) { Ok(Self { scope, ..self }) } else { Err(EventError::OutsideTenant) }
    }

    /// Names what is acted on within the scope.
    #[must_use]
    pub fn with_resource(self, resource: impl Into<ResourceId>) -> Self {
        Self { resource: Some(resource.into()), ..self }
    }

    /// Where the request came from.
    #[must_use]
    pub fn with_client(self, client: Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// What the client calls itself.
    #[must_use]
    pub fn with_user_agent(self, user_agent: UserAgent) -> Self {
        Self { user_agent: Some(user_agent), ..self }
    }

    /// The request's id.
    #[must_use]
    pub fn with_request(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }

    /// Adds a detail.
    ///
    /// # Errors
    /// As [`Details::insert`].
    pub fn with_detail(mut self, name: &str, value: impl Into<Field>) -> Result<Self, EventError> {
        self.details.insert(name, value)?;
        Ok(self)
    }

    /// Whose log it is part of.
    #[must_use]
    pub const fn tenant(&self) -> &Scope {
        &self.tenant
    }

    /// The scope that is acted on.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What is done.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// What is acted on within the scope.
    #[must_use]
    pub const fn resource(&self) -> Option<&ResourceId> {
        self.resource.as_ref()
    }

    /// Where the request came from.
    #[must_use]
    pub const fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// What the client calls itself.
    #[must_use]
    pub const fn user_agent(&self) -> Option<&UserAgent> {
        self.user_agent.as_ref()
    }

    /// The request's id.
    #[must_use]
    pub const fn request(&self) -> Option<RequestId> {
        self.request
    }

    /// When the request came in, by the caller's clock. Order is by sequence, never by this.
    #[must_use]
    pub const fn started_at(&self) -> UnixTime {
        self.started_at
    }

    /// Further values.
    #[must_use]
    pub const fn details(&self) -> &Details {
        &self.details
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIntent {
    tenant: Scope,
    scope: Scope,
    actor: Actor,
    action: Action,
    resource: Option<ResourceId>,
    client: Option<Client>,
    user_agent: Option<UserAgent>,
    request: Option<RequestId>,
    started_at: UnixTime,
    #[serde(default)]
    details: Details,
}

impl TryFrom<WireIntent> for Intent {
    type Error = EventError;

    fn try_from(wire: WireIntent) -> Result<Self, EventError> {
        let WireIntent { tenant, scope, actor, action, resource, client, .. } = wire;
        if !tenant.contains(&scope) {
            return Err(EventError::OutsideTenant);
        }
        let WireIntent { user_agent, request, started_at, details, .. } = wire;
        Ok(Self { tenant, scope, actor, action, resource, client, user_agent, request, started_at, details })
    }
}
