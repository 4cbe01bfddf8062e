//! Projects: the tenants of this example. What belongs to one is invisible from every other.
//!
//! Stored under `control-plane/project/<name>`. A project is never deleted here: its name is part of scopes,
//! and a second project of the same name would inherit what was granted on the first.

use core_types::{Principal, Scope, UnixTime};
use serde::{Deserialize, Serialize};
use state_store::replica::{Records, Stored};
use state_store::{Batch, BatchError, Key, Prefix, Record, RecordError, record};

/// What the store keeps of a project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Project {
    pub(crate) scope: Scope,
    pub(crate) created_at: UnixTime,
    /// `None` for the one that the first start made.
    pub(crate) created_by: Option<Principal>,
}

impl Record for Project {
    const KIND: &'static str = "control-plane/project";
    const VERSION: u32 = 1;
}

impl Project {
    /// The project's own name: the last part of its scope.
    pub(crate) fn name(&self) -> &str {
        self.scope.levels().last().map_or("", |level| level.name)
    }
}

pub(crate) type Projects = Records<Project>;

/// The scope of the project of this name; `None` where the name is not one.
pub(crate) fn scope_of(name: &str) -> Option<Scope> {
    Scope::root().child("project", name).ok()
}

/// The project of this name.
pub(crate) fn find<'a>(projects: &'a Projects, name: &str) -> Option<&'a Stored<Project>> {
    projects.get(&key(name).ok()?).map(AsRef::as_ref)
}

/// Makes a project, unless one of the name is there when the batch is committed.
pub(crate) fn plan_create(project: &Project) -> Result<Batch, PlanError> {
    let mut batch = Batch::new();
    batch.create(key(project.name()).map_err(BatchError::from)?, record::encode(project)?)?;
    Ok(batch)
}

/// The keys of all projects.
pub(crate) fn prefix() -> Result<Prefix, state_store::LimitError> {
    Prefix::new(PREFIX)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn key(name: &str) -> Result<Key, state_store::LimitError> {
    Key::new(format!("{PREFIX}{name}"))
}

const PREFIX: &str = "control-plane/project/";
