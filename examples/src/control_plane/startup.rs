//! From a folder to a running server.

use std::fs::{self, DirBuilder, File};
use std::future::Future;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit_log_tower::TrustedProxies;
use core_types::{Clock as _, Restriction, SecretBytes, Subject, SystemClock, SystemRandom};
use iam_policy::Directory;
use sshkey_registry::bundle::BundleKey;
use sshkey_registry::{AdmissionPolicy, RegistryView};
use state_store::fleet::NodeName;
use state_store::{Commit, Key, Prefix, StateStore};
use state_store_redb::Expected;
use token_vault::{
    FailureLimit, FormatError, IssueRequest, IssuedToken, Pepper, PepperVersion, Peppers, TokenFormat,
    TokenView, Vault,
};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::anchor;
use super::api_error::ApiError;
use super::figures::{self, Figures};
use super::fleet;
use super::following::{Following, Owners};
use super::joins::{self, JoinListener};
use super::project::{self, Project, Projects};
use super::proofs::Proofs;
use super::record::Journal;
use super::routes::router;
use super::settings::{StateSettings, StateUrl};
use super::state::{ControlPlane, Replicas};
use crate::backend::{Backend, Place};
use crate::files::write_durably;

/// A control plane that listens and does not serve yet.
pub struct Server {
    plane: Arc<ControlPlane<Backend>>,
    listener: TcpListener,
    address: SocketAddr,
    joins: Option<JoinListener>,
    proxies: TrustedProxies,
    first_start: Option<FirstStart>,
}

/// What the first start made; its token cannot be had again.
pub struct FirstStart {
    token: IssuedToken,
}

impl FirstStart {
    /// Shows the administrator's token, once.
    pub fn expose_token_once<T>(self, show: impl FnOnce(&str) -> T) -> T {
        self.token.expose_once(show)
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file or a socket.
    #[error("{what}: {error}")]
    Io {
        /// What was opened.
        what: String,
        /// The system's word.
        error: io::Error,
    },
    /// A part refused what it found; the message is for the operator.
    #[error("{what}: {message}")]
    Part {
        /// Which part.
        what: &'static str,
        /// What it said.
        message: String,
    },
}

impl StartError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    pub(crate) fn part<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Part { what, message: error.to_string() }
    }
}

impl Server {
    /// Opens or makes everything in `data_dir`, and in `state` where the state lies there, and listens.
    ///
    /// # Errors
    /// [`StartError`], with what an operator needs to know.
    pub async fn start(
        listen: SocketAddr,
        data_dir: &Path,
        state: &StateSettings,
    ) -> Result<Self, StartError> {
        let plane = open(data_dir, state).await?;
        let first_start = first_start(&plane).await?;
        fleet::join(&plane).await?;
        let listener = TcpListener::bind(listen).await.map_err(StartError::io(listen.to_string()))?;
        let address = listener.local_addr().map_err(StartError::io("the listening socket"))?;
        Ok(Self { plane, listener, address, joins: None, proxies: TrustedProxies::none(), first_start })
    }

    /// Believes these proxies what they say of their clients' addresses.
    pub fn trust(&mut self, proxies: TrustedProxies) {
        self.proxies = proxies;
    }

    /// Listens for machines that join, too; founds the cluster where there is none.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn listen_for_joins(&mut self, listen: SocketAddr, data_dir: &Path) -> Result<(), StartError> {
        joins::open(&self.plane, &data_dir.join("join-machine")).await?;
        self.joins = Some(JoinListener::bind(&self.plane, listen).await?);
        Ok(())
    }

    /// Where it listens for machines that join.
    #[must_use]
    pub fn joins_address(&self) -> Option<SocketAddr> {
        self.joins.as_ref().map(JoinListener::address)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the first start made; only on a first start, and only once.
    pub const fn take_first_start(&mut self) -> Option<FirstStart> {
        self.first_start.take()
    }

    /// Serves until `stop` is done, then lets the requests that run come to their end.
    ///
    /// # Errors
    /// [`StartError`] when the socket fails or the log cannot be closed.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
        let Self { plane, listener, joins, proxies, .. } = self;
        let figures = figures::route(&plane);
        let app = router(Arc::clone(&plane), proxies)?
            .merge(figures)
            .into_make_service_with_connect_info::<SocketAddr>();
        let (closing, closed) = watch::channel(false);
        let joining = joins.map(|joins| tokio::spawn(joins.serve(Arc::clone(&plane), closed)));
        let stop = async move {
            stop.await;
            let _ = closing.send(true);
        };
        axum::serve(listener, app).with_graceful_shutdown(stop).await.map_err(StartError::io("serving"))?;
        if let Some(joining) = joining {
            joining.await.map_err(StartError::part("joins"))?;
        }
        fleet::leave(&plane).await;
        close(&plane).await
    }
}

/// Opens or makes everything in `data_dir`, and keeps it current.
pub(crate) async fn open(
    data_dir: &Path,
    state: &StateSettings,
) -> Result<Arc<ControlPlane<Backend>>, StartError> {
    make_private_folder(data_dir)?;
    let clock = SystemClock::new();
    let random = SystemRandom::new();
    let audit_folder = data_dir.join("audit");
    let opened = match &state.url {
        None => open_embedded(data_dir, &audit_folder, &random)?,
        Some(url) => open_shared(data_dir, &audit_folder, url, &random).await?,
    };
    let Opened { store, pepper, anchor_key, node } = opened;
    let node = state.node.clone().or(node);
    let bundle_key = bundle_key(&data_dir.join("ssh-bundle-key"), &random)?;
    let known = anchor::known_checkpoint(&store, &anchor_key).await?;
    let journal = Journal::open(&audit_folder, &random, known)?;
    let proofs = Proofs::open(journal.log(), &audit_folder, &data_dir.join("audit-key"), &random)?;

    let projects = project::prefix().map_err(StartError::part("projects"))?;
    let follow = Following { store: &store, clock: &clock, reads_through: state.reads_through };
    let (projects, follow_projects) = follow.begin(projects, Projects::new()).await?;
    let keys = Prefix::new(sshkey_registry::registry::PREFIX).map_err(StartError::part("keys"))?;
    let (keys, follow_keys) = follow.begin(keys, RegistryView::new()).await?;
    let iam = Prefix::new(iam_policy::PREFIX).map_err(StartError::part("directory"))?;
    let (iam, follow_iam) = follow.begin(iam, Directory::new()).await?;
    let tokens_prefix = TokenView::prefix().map_err(StartError::part("tokens"))?;
    let (tokens, follow_tokens) = follow.begin(tokens_prefix, TokenView::new()).await?;

    let format = token_format().map_err(StartError::part("token format"))?;
    let vault = Vault::builder(tokens, format, Peppers::new(&pepper))
        .with_owners(Owners { iam: iam.clone() })
        .with_failure_limit(FAILURE_LIMIT)
        .build();
    // Longer RSA keys are no safer than what else there is, and cost seconds to decide on.
    let admission =
        AdmissionPolicy::new().with_rsa_bits(2048, 8192).map_err(StartError::part("admission"))?;
    let plane = Arc::new(ControlPlane {
        store,
        clock,
        random,
        vault,
        admission,
        bundle_key,
        admissions: Semaphore::new(1),
        journal,
        proofs,
        replicas: Replicas { projects, keys, iam },
        joins: OnceLock::new(),
        anchor_key,
        figures: Figures::new(),
        fleet: OnceLock::new(),
        node,
    });
    tokio::spawn(follow_projects);
    tokio::spawn(follow_keys);
    tokio::spawn(follow_iam);
    tokio::spawn(follow_tokens);
    tokio::spawn(Arc::clone(&plane).keep_confirming());
    tokio::spawn(Arc::clone(&plane).keep_anchoring());
    tokio::spawn(Arc::clone(&plane.proofs).keep_publishing());
    tokio::spawn(Arc::clone(&plane).keep_counting());
    let journal = Arc::clone(&plane);
    tokio::spawn(async move { journal.journal.keep_flushing().await });

    Ok(plane)
}

/// The state, and what goes with it.
struct Opened {
    store: Backend,
    pepper: Pepper,
    anchor_key: Key,
    // Of one of several.
    node: Option<NodeName>,
}

/// The state of the only node, in its own folder.
fn open_embedded(data_dir: &Path, audit_folder: &Path, random: &SystemRandom) -> Result<Opened, StartError> {
    let state_file = data_dir.join("state.redb");
    let pepper = pepper(&data_dir.join("pepper"), state_file.exists(), random)?;
    // The log is made after the store: where there is a log, a store that is missing was lost, and one that
    // is behind what the log has seen was put back.
    let expected = if audit_folder.exists() {
        Expected::Existing { store: None, at_least: anchor::known_revision(audit_folder)? }
    } else {
        Expected::Either
    };
    let store = Backend::open_file(&state_file, expected).map_err(StartError::part("state"))?;
    Ok(Opened { store, pepper, anchor_key: anchor::key(None)?, node: None })
}

/// The state that several nodes share.
async fn open_shared(
    data_dir: &Path,
    audit_folder: &Path,
    url: &StateUrl,
    random: &SystemRandom,
) -> Result<Opened, StartError> {
    let part = "state";
    let place: Place = url.expose().parse().map_err(StartError::part(part))?;
    let store = Backend::open(place, Expected::Either).await.map_err(StartError::part(part))?;
    let head = store.scan(&Prefix::all(), None, 0).await.map_err(StartError::part(part))?.revision;
    let known = anchor::known_revision(audit_folder)?;
    if head < known {
        let message = format!("it is at revision {head}, and this node has seen {known}: it was put back");
        return Err(StartError::Part { what: part, message });
    }
    // Where there are subjects there are tokens, which only the pepper of the first node makes valid.
    let subjects = Prefix::new(iam_policy::PREFIX).map_err(StartError::part(part))?;
    let is_new = !store.scan(&subjects, None, 0).await.map_err(StartError::part(part))?.more;
    let pepper = pepper(&data_dir.join("pepper"), !is_new, random)?;
    let node = fleet::node_id(&data_dir.join("node"), random)?;
    let anchor_key = anchor::key(Some(&node))?;
    let node = Some(NodeName::new(&node).map_err(StartError::part("node"))?);
    Ok(Opened { store, pepper, anchor_key, node })
}

/// Writes what waits to be written, and lets the state vouch for the log's end.
pub(crate) async fn close(plane: &Arc<ControlPlane<Backend>>) -> Result<(), StartError> {
    plane.flush_usage().await;
    plane.proofs.publish().await;
    let checkpoint = plane.journal.close().await?;
    plane.anchor(checkpoint).await
}

/// The kinds of token that this control plane issues and accepts.
pub(crate) fn token_format() -> Result<TokenFormat, FormatError> {
    TokenFormat::new([api_token_kind(), session_kind()])
}

/// The kind of token this control plane issues.
pub(crate) fn api_token_kind() -> token_vault::Prefix {
    #[expect(clippy::unwrap_used, reason = "a constant of ours; a test sees that it is a prefix")]
    token_vault::Prefix::of("palisade", "live", "pat").unwrap()
}

/// The kind of token a login gives.
pub(crate) fn session_kind() -> token_vault::Prefix {
    #[expect(clippy::unwrap_used, reason = "a constant of ours; a test sees that it is a prefix")]
    token_vault::Prefix::of("palisade", "live", "ses").unwrap()
}

/// Makes the first project and its administrator, where there never was one.
async fn first_start<S: StateStore>(plane: &ControlPlane<S>) -> Result<Option<FirstStart>, StartError> {
    let part = "first start";
    let directory = plane.replicas.iam.snapshot();
    if directory.view().is_started() {
        return Ok(None);
    }
    let now = plane.clock.now();
    let name = "administrator".parse().map_err(StartError::part::<iam_policy::NameError>(part))?;
    let planned = directory.view().plan_first_administrator(name, now, &plane.random);
    let (administrator, mut batch) = planned.map_err(StartError::part(part))?.into_parts();
    let scope = project::scope_of(FIRST_PROJECT)
        .ok_or_else(|| StartError::Part { what: part, message: "the first project has no name".into() })?;
    let project = Project { scope: scope.clone(), created_at: now, created_by: None };
    batch
        .append(project::plan_create(&project).map_err(StartError::part(part))?)
        .map_err(StartError::part(part))?;
    let owner = Subject::User(administrator.user);
    let request =
        IssueRequest::new("first administrator", api_token_kind(), owner, Restriction::unrestricted())
            .at_home_in(scope);
    let issued = plane.vault.plan_issue(request, now, &plane.random).map_err(StartError::part(part))?;
    batch.append(issued.batch).map_err(StartError::part(part))?;

    let open = plane.journal.begin_own(FIRST_START, now).await?;
    let outcome = plane.store.commit(batch).await.map_err(StartError::part(part));
    let committed = match outcome {
        Ok(Commit::Committed(revision)) => Ok(revision),
        Ok(Commit::Conflict(_)) => Err(StartError::Part {
            what: part,
            message: "another process is making it at the same time".into(),
        }),
        Err(error) => Err(error),
    };
    let failed = committed.is_err().then(ApiError::outcome_unknown);
    open.finish(failed.as_ref()).await?;
    let revision = committed?;
    plane.replicas.projects.applied(revision).await;
    plane.replicas.iam.applied(revision).await;
    plane.vault.replica().applied(revision).await;
    Ok(Some(FirstStart { token: issued.token }))
}

/// A folder in which only its owner can make, replace or remove files. What is in it is private by itself: the
/// state and the pepper are 0600, the log's folder is 0700.
fn make_private_folder(folder: &Path) -> Result<(), StartError> {
    let what = folder.display().to_string();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StartError::io(&*what))?;
    let mode = fs::metadata(folder).map_err(StartError::io(&*what))?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(StartError::Part {
            what: "data folder",
            message: format!("others can write to {what} (mode {:o}): make it 0700", mode & 0o777),
        });
    }
    Ok(())
}

/// The pepper, which is kept beside the store and never in it. A store without its pepper is refused: every
/// token in it is dead, and a new pepper would hide that.
fn pepper(file: &Path, store_exists: bool, random: &SystemRandom) -> Result<Pepper, StartError> {
    let what = file.display().to_string();
    let version = PepperVersion::new(NonZeroU32::MIN);
    match File::open(file) {
        Ok(mut open) => {
            let mode = open.metadata().map_err(StartError::io(&*what))?.permissions().mode();
            if mode & 0o077 != 0 {
                let message = format!("{what} is open to others (mode {:o}): make it 0600", mode & 0o777);
                return Err(StartError::Part { what: "pepper", message });
            }
            let key = SecretBytes::filled_by(|bytes: &mut [u8; 32]| open.read_exact(bytes));
            Ok(Pepper::new(version, key.map_err(StartError::io(&*what))?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !store_exists => {
            let pepper = Pepper::generate(version, random).map_err(StartError::part("pepper"))?;
            write_durably(file, pepper.expose_secret()).map_err(StartError::io(&*what))?;
            Ok(pepper)
        }
        Err(error) => Err(StartError::Io { what, error }),
    }
}

/// The key that signs the bundles of machines, made when there is none: machines are told its public half anew then.
fn bundle_key(file: &Path, random: &SystemRandom) -> Result<BundleKey, StartError> {
    let what = file.display().to_string();
    match File::open(file) {
        Ok(mut open) => {
            let mode = open.metadata().map_err(StartError::io(&*what))?.permissions().mode();
            if mode & 0o077 != 0 {
                let message = format!("{what} is open to others (mode {:o}): make it 0600", mode & 0o777);
                return Err(StartError::Part { what: "bundle key", message });
            }
            let seed = SecretBytes::filled_by(|bytes: &mut [u8; 32]| open.read_exact(bytes));
            Ok(BundleKey::from_seed(seed.map_err(StartError::io(&*what))?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = BundleKey::generate(random).map_err(StartError::part("bundle key"))?;
            write_durably(file, key.seed().expose_secret()).map_err(StartError::io(&*what))?;
            Ok(key)
        }
        Err(error) => Err(StartError::Io { what, error }),
    }
}

/// How often an address may present what is no token: a thousand times at once, then ten times a second.
const FAILURE_LIMIT: FailureLimit = FailureLimit { burst: 1000, interval: Duration::from_millis(100) };
/// The action of the first start in the audit log.
const FIRST_START: &str = "iam:start";
const FIRST_PROJECT: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_our_tokens_is_a_prefix() {
        assert_eq!(api_token_kind().as_str(), "palisadelivepat");
        assert_eq!(session_kind().as_str(), "palisadeliveses");
    }

    #[test]
    fn a_store_without_its_pepper_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pepper");
        assert!(pepper(&file, true, &SystemRandom::new()).is_err());
        let made = pepper(&file, false, &SystemRandom::new()).unwrap();
        let read = pepper(&file, true, &SystemRandom::new()).unwrap();
        assert_eq!(made.expose_secret(), read.expose_secret());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(make_private_folder(folder.path()).is_ok());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o775)).unwrap();
        assert!(make_private_folder(folder.path()).is_err());
        let made = folder.path().join("a/b");
        make_private_folder(&made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_pepper_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pepper");
        pepper(&file, false, &SystemRandom::new()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(pepper(&file, true, &SystemRandom::new()).is_err());
    }
}
