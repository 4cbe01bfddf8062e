//! What is stored: each change is one commit, planned by what is stored and by nothing else.

use std::net::IpAddr;

use audit_log::event::ResourceId;
use audit_log::{Actor, Client, Intent};
use core_types::{Clock as _, Scope};
use join_hmac::cluster::Cluster;
use join_hmac::error::{ClusterError, JoinError};
use join_hmac::join::{Admitting, Approval, AwaitApproval, AwaitInstalled, Initiator, Lookup as _, Progress};
use join_hmac::ticket::TicketRecord;
use join_hmac::trust::MemberEntry;
use state_store::{Batch, Commit, StateStore};

use super::{Joins, refused};
use crate::control_plane::api_error::ApiError;
use crate::control_plane::state::{self, ControlPlane};

/// Why a machine was not let in, and what it is told: nothing when it is to try again.
pub(super) struct NotLetIn {
    pub(super) frame: Option<Vec<u8>>,
    pub(super) error: ApiError,
}

impl From<ApiError> for NotLetIn {
    fn from(error: ApiError) -> Self {
        Self { frame: None, error }
    }
}

impl<S: StateStore> ControlPlane<S> {
    /// The joins, where machines can join.
    pub(crate) fn joins(&self) -> Result<&Joins, ApiError> {
        self.joins.get().ok_or_else(|| ApiError::taken("no_joins", "nobody listens for machines that join"))
    }

    /// Plans a change of the cluster's records and commits it.
    pub(crate) async fn change_cluster<T>(
        &self,
        plan: impl FnOnce(&Cluster) -> Result<(T, Batch), ClusterError>,
    ) -> Result<T, ApiError> {
        let joins = self.joins()?;
        let _one = joins.changing.lock().await;
        let (value, batch) = plan(&joins.cluster()).map_err(|error| refused(&error))?;
        self.commit_cluster(joins, batch).await?;
        Ok(value)
    }

    /// Stores that a machine is let in, and gives what it is sent.
    pub(super) async fn let_in(
        &self,
        initiator: Initiator<AwaitApproval>,
        approval: &Approval,
    ) -> Result<(Initiator<AwaitInstalled>, Vec<u8>), NotLetIn> {
        let joins = self.joins()?;
        let _one = joins.changing.lock().await;
        let cluster = joins.cluster();
        let ticket = initiator.ticket().and_then(|id| cluster.ticket(&id));
        let epoch = ticket.as_ref().map_or(cluster.store().epoch(), TicketRecord::epoch);
        let (base, since) = cluster.since(&self.store, epoch).await.map_err(|error| refused(&error))?;
        let approved = initiator.approve(approval, &base, &since, joins.now());
        let (persisting, record) = approved.map_err(|not| {
            let (initiator, error) = *not;
            let frame = Some(initiator.reject());
            NotLetIn { frame, error: ApiError::taken("not_let_in", error.to_string()) }
        })?;
        let batch = cluster.plan_approved(&record, self.clock.now()).map_err(|error| refused(&error))?;
        self.commit_cluster(joins, batch).await?;
        Ok(persisting.persisted())
    }

    /// Makes a machine a member that has stored the members, and gives what it is sent.
    pub(super) async fn admit(
        &self,
        admitting: Initiator<Admitting>,
        source: IpAddr,
    ) -> Result<Vec<u8>, ApiError> {
        let joins = self.joins()?;
        let _one = joins.changing.lock().await;
        let machine = admitting.record().machine();
        let stored = joins.cluster().join(&machine);
        let record = stored.filter(|stored| stored.session() == admitting.record().session());
        // Aborted, or begun anew over another connection.
        let record = record.ok_or_else(|| refused(&ClusterError::Unknown))?;
        let epoch = record.epoch();
        if record.progress() == Progress::Pending {
            let open = self.journal.begin(intent(self, ADMIT, source, record.entry())?).await;
            let open = open.map_err(|_| ApiError::unavailable("the audit log takes no entry"))?;
            let outcome = async {
                let cluster = joins.cluster();
                let admission = admitting.admission();
                let entry = admission.sign(cluster.store(), joins.machine.identity());
                let entry = entry.map_err(|error| refused(&error.into()))?;
                let planned = cluster.plan_admitted(record, entry.as_ref());
                let (batch, _) = planned.map_err(|error| refused(&error))?;
                self.commit_cluster(joins, batch).await
            };
            let outcome = outcome.await;
            let finished = open.finish_at(Some(self.reached()), outcome.as_ref().err()).await;
            outcome?;
            finished.map_err(|_| ApiError::outcome_unknown())?;
        }
        let cluster = joins.cluster();
        let (_, since) = cluster.since(&self.store, epoch).await.map_err(|error| refused(&error))?;
        let admitted = admitting.admitted(&since, cluster.store()).map_err(|error: JoinError| {
            tracing::error!(%error, "a machine could not be told that it is a member");
            ApiError::internal()
        })?;
        Ok(admitted.frame().to_vec())
    }

    async fn commit_cluster(&self, joins: &Joins, batch: Batch) -> Result<(), ApiError> {
        let committed = self.commit(batch).await?;
        // Whatever came of it, what is stored is what counts.
        let cluster = Cluster::load(&self.store).await.map_err(|error| refused(&error))?;
        joins.now_stored(cluster.ok_or_else(|| refused(&ClusterError::Damaged))?);
        match committed {
            Commit::Committed(revision) => self.applied(revision).await,
            Commit::Conflict(_) => Err(ApiError::unavailable("something else changed the cluster")),
        }
    }
}

/// What is recorded of a machine, by the address it asks from.
pub(super) fn intent<S: StateStore>(
    plane: &ControlPlane<S>,
    action: &'static str,
    source: IpAddr,
    entry: &MemberEntry,
) -> Result<Intent, ApiError> {
    let intent = bare_intent(plane, action, source)?;
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "what is recorded of a join");
        ApiError::internal()
    };
    let resource = ResourceId::new(format!("members/{}", entry.id())).map_err(|error| internal(&error))?;
    let text = |text: &str| audit_log::Public::text(text).map_err(|error| internal(&error));
    intent
        .with_resource(resource)
        .with_detail("name", text(entry.name())?)
        .and_then(|intent| intent.with_detail("role", audit_log::Public::text(entry.role())?))
        .map_err(|error| internal(&error))
}

/// What is recorded of whoever asks from an address.
pub(super) fn bare_intent<S: StateStore>(
    plane: &ControlPlane<S>,
    action: &'static str,
    source: IpAddr,
) -> Result<Intent, ApiError> {
    let action = state::permission(action)?;
    let intent = Intent::new(Actor::Anonymous, action, Scope::root(), plane.clock.now());
    Ok(intent.with_client(Client::peer(source)))
}

/// A machine becomes a member.
const ADMIT: &str = "joins:admit";
