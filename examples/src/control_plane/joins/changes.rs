//! What is stored: each change is one commit, planned by what is stored and by nothing else.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use audit_log::event::ResourceId;
use audit_log::{Actor, Client, Intent};
use core_types::{Clock as _, Scope};
use join_hmac::cluster::Cluster;
use join_hmac::error::{ClusterError, JoinError};
use join_hmac::join::{
    Admitting, Approval, AwaitApproval, AwaitInstalled, Initiator, InitiatorRecord, Lookup as _, Progress,
};
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

    /// What is stored, as of a moment within the staleness bound.
    pub(crate) async fn cluster(&self) -> Result<Arc<Cluster>, ApiError> {
        let joins = self.joins()?;
        let changes = match joins.changes.current(self.clock.now()) {
            Ok(current) => current.view().count,
            Err(_) => return Err(self.stale()),
        };
        if joins.known.load(Ordering::Acquire) < changes {
            self.read_cluster(joins).await?;
        }
        Ok(joins.cluster())
    }

    /// Reads what is stored now.
    async fn read_cluster(&self, joins: &Joins) -> Result<(), ApiError> {
        let _turn = joins.reading.lock().await;
        let changes = joins.changes.snapshot().view().count;
        let cluster = Cluster::load(&self.store).await.map_err(|error| refused(&error))?;
        joins.now_stored(cluster.ok_or_else(|| refused(&ClusterError::Damaged))?, changes);
        Ok(())
    }

    /// Plans a change of the cluster's records and commits it; when another node was faster, plans it again by what is
    /// then there.
    pub(crate) async fn change_cluster<T>(
        &self,
        plan: impl Fn(&Cluster) -> Result<(T, Batch), ClusterError>,
    ) -> Result<T, ApiError> {
        let joins = self.joins()?;
        let _one = joins.changing.lock().await;
        self.cluster().await?;
        for _ in 0..MAX_ATTEMPTS {
            let (value, batch) = plan(&joins.cluster()).map_err(|error| refused(&error))?;
            if self.commit_cluster(joins, batch).await? {
                return Ok(value);
            }
        }
        Err(contended())
    }

    /// Stores that a machine is let in, and gives what it is sent.
    pub(super) async fn let_in(
        &self,
        initiator: Initiator<AwaitApproval>,
        approval: &Approval,
    ) -> Result<(Initiator<AwaitInstalled>, Vec<u8>), NotLetIn> {
        let joins = self.joins()?;
        let _one = joins.changing.lock().await;
        let cluster = self.cluster().await?;
        let ticket = initiator.ticket().and_then(|id| cluster.ticket(&id));
        let epoch = ticket.as_ref().map_or(cluster.store().epoch(), TicketRecord::epoch);
        let (base, since) = cluster.since(&self.store, epoch).await.map_err(|error| refused(&error))?;
        let approved = initiator.approve(approval, &base, &since, joins.now());
        let (persisting, record) = approved.map_err(|not| {
            let (initiator, error) = *not;
            let frame = Some(initiator.reject());
            NotLetIn { frame, error: ApiError::taken("not_let_in", error.to_string()) }
        })?;
        for _ in 0..MAX_ATTEMPTS {
            // Another node may have let somebody in by the same ticket: then it is that one's.
            let planned = joins.cluster().plan_approved(&record, self.clock.now());
            if self.commit_cluster(joins, planned.map_err(|error| refused(&error))?).await? {
                return Ok(persisting.persisted());
            }
        }
        Err(contended().into())
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
        let is_same = |stored: &InitiatorRecord| stored.session() == admitting.record().session();
        let record = self.cluster().await?.join(&machine).filter(is_same);
        // Aborted, or begun anew over another connection.
        let record = record.ok_or_else(|| refused(&ClusterError::Unknown))?;
        let epoch = record.epoch();
        if record.progress() == Progress::Pending {
            let open = self.journal.begin(intent(self, ADMIT, source, record.entry())?).await;
            let open = open.map_err(|_| ApiError::unavailable("the audit log takes no entry"))?;
            let outcome = async {
                for _ in 0..MAX_ATTEMPTS {
                    let cluster = joins.cluster();
                    // Another node may have admitted it, or the operator there aborted it, meanwhile.
                    let record = cluster.join(&machine).filter(is_same);
                    let record = record.ok_or_else(|| refused(&ClusterError::Unknown))?;
                    if record.progress() == Progress::Joined {
                        return Ok(());
                    }
                    let admission = admitting.admission();
                    let entry = admission.sign(cluster.store(), joins.machine.identity());
                    let entry = entry.map_err(|error| refused(&error.into()))?;
                    let planned = cluster.plan_admitted(record, entry.as_ref());
                    let (batch, _) = planned.map_err(|error| refused(&error))?;
                    if self.commit_cluster(joins, batch).await? {
                        return Ok(());
                    }
                }
                Err(contended())
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

    /// Whether it was committed, or something else changed meanwhile what it was planned by.
    async fn commit_cluster(&self, joins: &Joins, batch: Batch) -> Result<bool, ApiError> {
        let committed = self.commit(batch).await?;
        // Whatever came of it, what is stored is what counts.
        self.read_cluster(joins).await?;
        match committed {
            Commit::Committed(revision) => self.applied(revision).await.map(|()| true),
            Commit::Conflict(_) => {
                self.figures.retries.increment(1);
                Ok(false)
            }
        }
    }
}

fn contended() -> ApiError {
    ApiError::unavailable("others kept changing the cluster")
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

/// How often a change is planned anew.
const MAX_ATTEMPTS: u32 = 16;
