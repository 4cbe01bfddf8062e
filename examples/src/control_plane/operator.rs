//! What an operator does at the machine, on the data folder of a server that is stopped, or on the state of a fleet that
//! serves.
//!
//! Whoever holds the folder holds the state, the pepper and the log: there is no one to ask. What is done is
//! recorded all the same, as the system's own.

use std::path::Path;
use std::sync::Arc;

use core_types::{Clock as _, Limit, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use state_store::Batch;
use token_vault::vault::{LeakOutcome, LeakPolicy, Many};
use token_vault::{IssuedToken, RevocationReason, TokenInfo};

use super::api_error::ApiError;
use super::project;
use super::routes::{parse_field, refused_change};
use super::settings::{StateSettings, StateUrl};
use super::startup::{self, StartError, api_token_kind};
use super::state::{ControlPlane, State};
use super::token_wish::TokenWish;
use crate::backend::Backend;

/// The data folder, opened.
pub(crate) struct Operator {
    plane: Arc<ControlPlane<Backend>>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    /// The folder cannot be opened, or not be closed.
    #[error(transparent)]
    Folder(#[from] StartError),
    /// What was asked for is refused.
    #[error("{}", .0.message())]
    Refused(ApiError),
}

impl OperatorError {
    /// Whether it is the question that is wrong, rather than the folder or the state.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_invalid())
    }
}

impl From<ApiError> for OperatorError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Which tokens to revoke.
pub(crate) enum Which {
    One(TokenId),
    Many(Many, Limit<UnixTime>),
}

impl Operator {
    /// Opens the folder of a server that was started once and is stopped; or, where the state lies elsewhere, a folder
    /// with the fleet's `pepper`, in which no server runs.
    pub(crate) async fn open(data_dir: &Path, state: Option<StateUrl>) -> Result<Self, OperatorError> {
        // Opening makes what is missing: not for a folder that was misspelled.
        let needed = data_dir.join(if state.is_some() { "pepper" } else { "state.redb" });
        if !needed.exists() {
            let message = format!("{} is not there: no server was started on this folder", needed.display());
            return Err(StartError::Part { what: "data folder", message }.into());
        }
        let plane = startup::open(data_dir, &StateSettings::at(state)).await?;
        // Nor for a state that no server was started on.
        if !plane.current()?.iam.view().is_started() {
            let message = "no server was started on this state".into();
            return Err(StartError::Part { what: "state", message }.into());
        }
        Ok(Self { plane })
    }

    /// Issues what is wished to the owner it names.
    pub(crate) async fn issue(
        &self,
        wish: &TokenWish,
        project: &str,
    ) -> Result<(IssuedToken, TokenInfo), OperatorError> {
        let now = self.plane.clock.now();
        let scope = project::scope_of(project).ok_or_else(|| ApiError::not_found("project"))?;
        let owner = self.owner(wish.owner.as_deref().unwrap_or_default())?;
        let restriction = wish.restriction(&scope, &Restriction::unrestricted())?;
        let issued = self.recorded("api-tokens:write", now, |state| {
            if project::find(state.projects.view(), project).is_none() {
                return Err(ApiError::not_found("project"));
            }
            let request = wish.request(api_token_kind(), owner, restriction.clone(), scope.clone())?;
            let issued = self
                .plane
                .vault
                .plan_issue(request, now, &self.plane.random)
                .map_err(|error| ApiError::invalid("refused", error.to_string()))?;
            Ok(((issued.token, issued.info), issued.batch))
        });
        issued.await
    }

    /// Revokes one token or many.
    pub(crate) async fn revoke(&self, which: &Which, reason: RevocationReason) -> Result<(), OperatorError> {
        let now = self.plane.clock.now();
        let revoked = self.recorded("api-tokens:write", now, |state| {
            let vault = &self.plane.vault;
            let by = self.principal(state)?;
            match which {
                Which::One(id) => {
                    let change = vault
                        .plan_revoke(*id, by, reason, now)
                        .map_err(|error| refused_change(state, &error))?;
                    Ok(((), change.batch))
                }
                Which::Many(many, issued_before) => {
                    let planned = vault.plan_revoke_many(many, *issued_before, by, reason, now);
                    Ok(((), planned.map_err(|error| state.internal(&error))?.batch))
                }
            }
        });
        revoked.await
    }

    /// Revokes the token of which this is a secret; `None` when it is no token of ours.
    pub(crate) async fn revoke_leaked(&self, found: &str) -> Result<Option<TokenInfo>, OperatorError> {
        let now = self.plane.clock.now();
        let by = self.principal(&self.plane.current()?)?;
        let known = self.plane.vault.plan_leak(found, LeakPolicy::Notify, by, now);
        if !matches!(known, Ok(LeakOutcome::Ours { .. })) {
            return Ok(None);
        }
        let revoked = self.recorded("api-tokens:write", now, |state| {
            let outcome = self.plane.vault.plan_leak(found, LeakPolicy::Revoke, by, now);
            match outcome.map_err(|error| refused_change(state, &error))? {
                LeakOutcome::Ours { info, change } => {
                    Ok((Some(*info), change.map_or_else(Batch::new, |change| change.batch)))
                }
                _ => Err(ApiError::not_found("token")),
            }
        });
        revoked.await
    }

    /// The subject of this id, or the only one of this name.
    pub(crate) fn owner(&self, text: &str) -> Result<Subject, OperatorError> {
        if let Ok(subject) = parse_field::<Subject>("owner", text) {
            return Ok(subject);
        }
        let state = self.plane.current()?;
        let mut named = state
            .iam
            .view()
            .subjects()
            .filter(|subject| subject.name.as_str() == text)
            .map(|subject| subject.id);
        match (named.next(), named.next()) {
            (Some(subject), None) => Ok(subject),
            (Some(_), Some(_)) => {
                let message = format!("several are named `{text}`: give the id");
                Err(ApiError::invalid("invalid_field", message).into())
            }
            (None, _) => Err(ApiError::not_found("owner").into()),
        }
    }

    /// Lets the folder go.
    pub(crate) async fn close(self) -> Result<(), OperatorError> {
        Ok(startup::close(&self.plane).await?)
    }

    /// Plans and commits, between the two halves of an entry of the audit log.
    async fn recorded<T>(
        &self,
        action: &'static str,
        now: UnixTime,
        plan: impl Fn(&State) -> Result<(T, Batch), ApiError>,
    ) -> Result<T, OperatorError> {
        let open = self.plane.journal.begin_own(action, now).await?;
        let outcome = self.plane.change(plan).await;
        open.finish(outcome.as_ref().err()).await?;
        Ok(outcome?)
    }

    /// In whose name an operator revokes. A token's record names a principal, and who sits at the machine is none:
    /// it is the first administrator, and the audit log says that it was the system.
    fn principal(&self, state: &State) -> Result<Principal, ApiError> {
        let first = state.iam.view().subjects().map(|subject| subject.id).min();
        first.map(Principal::subject).ok_or_else(ApiError::internal)
    }
}

/// The scope of a project by its name.
pub(crate) fn project_scope(name: &str) -> Result<Scope, OperatorError> {
    Ok(project::scope_of(name).ok_or_else(|| ApiError::not_found("project"))?)
}
