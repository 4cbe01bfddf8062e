//! The replicas of a node: how they are opened, kept current, and asked.

use core_types::{Subject, SystemClock};
use iam_policy::Directory;
use state_store::replica::{Driver, Replica};
use state_store::{Prefix, View};
use token_vault::vault::{OwnerStatus, Standing};

use super::startup::StartError;
use super::state::{READ_THROUGH_TIMEOUT, STALENESS_BOUND, keep_following};
use crate::backend::Backend;

/// Disabled and unknown owners' tokens are dead at once: the directory is asked at every request.
#[derive(Debug)]
pub(super) struct Owners {
    pub(super) iam: Replica<Directory>,
}

impl OwnerStatus for Owners {
    fn standing(&self, owner: Subject) -> Standing {
        standing(self.iam.snapshot().view(), owner)
    }
}

/// Whether the directory says that this owner's tokens may be good.
pub(super) fn standing(directory: &Directory, owner: Subject) -> Standing {
    use iam_policy::record::SubjectState;
    match directory.subject(owner) {
        Some(record) if record.state == SubjectState::Enabled => Standing::Active,
        _ => Standing::Inactive,
    }
}

/// How replicas are kept current, and what they do when they are not.
pub(super) struct Following<'a> {
    pub(super) store: &'a Backend,
    pub(super) clock: &'a SystemClock,
    pub(super) reads_through: bool,
}

impl Following<'_> {
    /// A replica, and the work that keeps it current.
    pub(super) async fn begin<V: View>(
        &self,
        prefix: Prefix,
        empty: V,
    ) -> Result<(Replica<V>, impl Future<Output = ()> + Send + 'static), StartError> {
        let opened = Replica::open(self.store.clone(), prefix, empty, STALENESS_BOUND, self.clock).await;
        let (replica, driver): (_, Driver<Backend, V>) = opened.map_err(StartError::part("state"))?;
        for (key, poisoned) in replica.snapshot().poisoned() {
            tracing::error!(?key, error = %poisoned.error, "a record cannot be read; what depends on it is refused");
        }
        let replica = if self.reads_through {
            replica.reading_through(self.store.clone(), READ_THROUGH_TIMEOUT, tokio::time::sleep)
        } else {
            replica
        };
        Ok((replica, keep_following(driver)))
    }
}
