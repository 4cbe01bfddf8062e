//! The store that a URL names: embedded, or a database's.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use core_types::SystemRandom;
use state_store::feed::FeedWatch;
use state_store::{
    Batch, Commit, CommitError, Entry, Key, Page, Prefix, ReadError, Revision, StateStore, Watch, WatchEvent,
};
use state_store_etcd::{EtcdStore, EtcdWatch};
use state_store_postgres::{Options, PostgresStore, PostgresWatch};
use state_store_redb::{Expected, RedbStore};

/// Where a store lies.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "every kind of place must be opened")]
pub enum Place {
    /// A file of the embedded store: `redb:PATH`.
    File(PathBuf),
    /// A PostgreSQL database: `postgres://…`.
    Postgres(Box<Options>),
    /// An etcd cluster: `etcd://…`.
    Etcd(Box<state_store_etcd::Options>),
}

/// A text names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Of another kind.
    #[error("a store is `redb:PATH`, `postgres://USER@HOST/DATABASE` or `etcd://HOST:PORT/NAMESPACE`")]
    Kind,
    /// A database's URL that cannot be used.
    #[error(transparent)]
    Postgres(#[from] state_store_postgres::SettingsError),
    /// A cluster's URL that cannot be used.
    #[error(transparent)]
    Etcd(#[from] state_store_etcd::SettingsError),
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.strip_prefix("redb:") {
            Some(path) if !path.is_empty() => Ok(Self::File(path.into())),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Postgres(Box::new(text.parse()?)))
            }
            None if text.starts_with("etcd://") => Ok(Self::Etcd(Box::new(text.parse()?))),
            _ => Err(PlaceError::Kind),
        }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The embedded store.
    #[error(transparent)]
    File(#[from] state_store_redb::OpenError),
    /// The database.
    #[error(transparent)]
    Postgres(#[from] state_store_postgres::OpenError),
    /// The cluster.
    #[error(transparent)]
    Etcd(#[from] state_store_etcd::OpenError),
}

/// A store of any kind; what uses it cannot tell.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// Embedded.
    File(RedbStore),
    /// A database.
    Postgres(PostgresStore),
    /// A cluster.
    Etcd(EtcdStore),
}

impl Backend {
    /// Opens the embedded store.
    ///
    /// # Errors
    /// [`BackendError::File`].
    pub fn open_file(path: &Path, expected: Expected) -> Result<Self, BackendError> {
        Ok(Self::File(RedbStore::open(path, expected, &SystemRandom::new())?))
    }

    /// Opens a database's.
    ///
    /// # Errors
    /// [`BackendError::Postgres`].
    pub async fn open_postgres(options: Options) -> Result<Self, BackendError> {
        Ok(Self::Postgres(PostgresStore::open(options, &SystemRandom::new()).await?))
    }

    /// Opens a cluster's.
    ///
    /// # Errors
    /// [`BackendError::Etcd`].
    pub async fn open_etcd(options: state_store_etcd::Options) -> Result<Self, BackendError> {
        Ok(Self::Etcd(EtcdStore::open(options, &SystemRandom::new()).await?))
    }

    /// Opens the store of this place: an embedded one as expected, a database's as it is.
    ///
    /// # Errors
    /// [`BackendError`].
    pub async fn open(place: Place, expected: Expected) -> Result<Self, BackendError> {
        match place {
            Place::File(path) => Self::open_file(&path, expected),
            Place::Postgres(options) => Self::open_postgres(*options).await,
            Place::Etcd(options) => Self::open_etcd(*options).await,
        }
    }

    /// What there is to show of it: names and numbers.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Etcd(store) => {
                let stats = store.stats();
                vec![
                    ("commits_total", stats.commits),
                    ("conflicts_total", stats.conflicts),
                    ("resolved_total", stats.resolved),
                    ("unknown_total", stats.unknown),
                    ("retries_total", stats.retries),
                    ("revision", stats.revision),
                ]
            }
            Self::Postgres(store) => {
                let stats = store.stats();
                vec![
                    ("commits_total", stats.commits),
                    ("conflicts_total", stats.conflicts),
                    ("transactions_total", stats.transactions),
                    ("failures_total", stats.failures),
                    ("resolved_total", stats.resolved),
                    ("unknown_total", stats.unknown),
                    ("connections_total", stats.connections),
                    ("retries_total", stats.retries),
                    ("hints_total", stats.hints),
                    ("readers", stats.readers),
                    ("revision", stats.revision),
                ]
            }
        }
    }
}

impl StateStore for Backend {
    type Watch = BackendWatch;

    async fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        match self {
            Self::File(store) => store.get(key).await,
            Self::Postgres(store) => store.get(key).await,
            Self::Etcd(store) => store.get(key).await,
        }
    }

    async fn scan(&self, prefix: &Prefix, after: Option<&Key>, limit: usize) -> Result<Page, ReadError> {
        match self {
            Self::File(store) => store.scan(prefix, after, limit).await,
            Self::Postgres(store) => store.scan(prefix, after, limit).await,
            Self::Etcd(store) => store.scan(prefix, after, limit).await,
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, CommitError> {
        match self {
            Self::File(store) => store.commit(batch).await,
            Self::Postgres(store) => store.commit(batch).await,
            Self::Etcd(store) => store.commit(batch).await,
        }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<BackendWatch, ReadError> {
        Ok(match self {
            Self::File(store) => BackendWatch::File(store.watch(prefix, after).await?),
            Self::Postgres(store) => BackendWatch::Postgres(store.watch(prefix, after).await?),
            Self::Etcd(store) => BackendWatch::Etcd(store.watch(prefix, after).await?),
        })
    }
}

/// A watch on a store of any kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendWatch {
    /// Embedded.
    File(FeedWatch),
    /// A database's.
    Postgres(PostgresWatch),
    /// A cluster's.
    Etcd(EtcdWatch),
}

impl Watch for BackendWatch {
    async fn next(&mut self) -> Result<WatchEvent, ReadError> {
        match self {
            Self::File(watch) => watch.next().await,
            Self::Postgres(watch) => watch.next().await,
            Self::Etcd(watch) => watch.next().await,
        }
    }
}
