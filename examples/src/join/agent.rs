//! The agent: the machine that joins.
//!
//! ```text
//! DIR/machine   its key, its certificate and the certificate's key
//! DIR/join      how far the join is, and the members; nothing where there is no such file
//! ```
//!
//! It is stored what is acknowledged, before it is: whenever the agent is stopped, starting it again goes on.

mod attempt;
mod settings;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_types::SystemRandom;
use join_hmac::error::{JoinError, MemberError, RecordError};
use join_hmac::join::{JoinSecret, JoinerRecord, Monotonic, Progress};
use join_hmac::trust::{MemberEntry, MemberId, TrustStore};
use join_hmac::wire::MAX_LONG_FRAME_LEN;
use tokio::sync::watch;
use tokio::time::Instant;

use self::attempt::Attempt;
pub use self::settings::{AgentSettings, AgentSettingsError, SecretFile};
use super::LinkError;
use super::machine::{Machine, MachineError};
use crate::files::{read_private, remove_durably, write_durably};

/// What the machine is to join as, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct Wish {
    /// The member to ask.
    pub to: SocketAddr,
    /// This machine's name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// How long to go on when the member cannot be reached.
    pub patience: Duration,
}

/// What the agent says while it is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// Somebody is asked; these words are on the other screen, too.
    Waiting {
        /// Which intent, in hexadecimal.
        intent: String,
        /// The words.
        words: String,
    },
    /// A join that was interrupted goes on.
    Resuming,
    /// It is tried again, because of this.
    Again {
        /// What went wrong.
        why: String,
    },
}

/// How far this machine's join is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Status {
    /// It joined nothing.
    Nothing,
    /// It may be a member, or not: run the join again.
    Pending,
    /// It is a member.
    Joined(Box<Membership>),
}

/// What a machine knows that is a member.
#[derive(Debug)]
#[non_exhaustive]
pub struct Membership {
    /// Which member it is.
    pub id: MemberId,
    /// The members.
    pub store: TrustStore,
}

/// Why a machine did not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A file.
    #[error("{what}: {error}")]
    File {
        /// Which file.
        what: String,
        /// The system's word.
        error: std::io::Error,
    },
    /// The machine's keys.
    #[error("the machine's keys: {0}")]
    Machine(#[from] MachineError),
    /// What was stored of the join.
    #[error("what was stored of the join: {0}")]
    Record(#[from] RecordError),
    /// The name, the role or an address is none.
    #[error(transparent)]
    Entry(#[from] MemberError),
    /// There is neither a join to go on with nor a secret to begin one.
    #[error("a ticket or a code is needed")]
    NoSecret,
    /// TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The join ended.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Somebody stopped the agent; the other side was told.
    #[error("stopped")]
    Stopped,
}

impl AgentError {
    /// Why the join ended, if it is that.
    #[must_use]
    pub const fn join(&self) -> Option<&JoinError> {
        match self {
            Self::Link(LinkError::Join(error)) => Some(error),
            _ => None,
        }
    }
}

/// A machine and its folder.
#[derive(Debug)]
pub struct Agent {
    folder: PathBuf,
    machine: Machine,
    random: SystemRandom,
    began: Instant,
}

impl Agent {
    /// Opens the folder, or makes it and a machine in it.
    ///
    /// # Errors
    /// [`AgentError::File`], [`AgentError::Machine`].
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| AgentError::File { what: folder.display().to_string(), error })?;
        let random = SystemRandom::new();
        let machine = Machine::read_or_make(&folder.join(MACHINE), &random)?;
        Ok(Self { folder: folder.to_owned(), machine, random, began: Instant::now() })
    }

    /// What the machine is.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// How far the join is, by what is in the folder.
    ///
    /// # Errors
    /// [`AgentError::File`], [`AgentError::Record`].
    pub fn status(&self) -> Result<Status, AgentError> {
        Ok(match self.record()? {
            None => Status::Nothing,
            Some(record) if record.progress() == Progress::Pending => Status::Pending,
            Some(record) => Status::Joined(Box::new(Membership {
                id: record.entry().id(),
                store: record.store().clone(),
            })),
        })
    }

    /// Joins, or goes on with a join, until this machine is a member or the join has ended for good.
    ///
    /// # Errors
    /// [`AgentError`]. After [`AgentError::Link`] with an I/O error, run it again.
    pub async fn join(
        &self,
        wish: &Wish,
        mut secret: Option<JoinSecret>,
        say: &mut (dyn FnMut(Said) + Send),
        stop: watch::Receiver<bool>,
    ) -> Result<Membership, AgentError> {
        let addresses: Vec<&str> = wish.addresses.iter().map(String::as_str).collect();
        let entry = MemberEntry::new(&wish.name, &wish.role, &addresses, self.machine.identity())?;
        let mut refusals = 0_u32;
        loop {
            let record = self.record()?;
            let resumes = match record.as_ref().map(JoinerRecord::progress) {
                Some(Progress::Joined) => break,
                Some(Progress::Pending) => true,
                None => false,
            };
            let mut attempt = Attempt { agent: self, entry: &entry, to: wish.to, say, stop: stop.clone() };
            let error = match (record, &mut secret) {
                (Some(record), _) => attempt.resume(&record).await,
                (None, Some(secret)) => attempt.begin(secret).await,
                (None, None) => return Err(AgentError::NoSecret),
            };
            let Err(error) = error else { break };
            let with_code = secret.as_ref().is_some_and(|secret| secret.runs_left().is_some());
            match error.join() {
                // A member that has much to do says the same as one that knows of no such join.
                Some(JoinError::Refused) if refusals < REFUSALS && (resumes || !with_code) => {
                    refusals = refusals.saturating_add(1);
                }
                Some(JoinError::Refused) if resumes => {
                    refusals = 0;
                    self.forget()?;
                }
                Some(JoinError::Aborted) => {
                    self.forget()?;
                    return Err(error);
                }
                Some(_) => return Err(error),
                None => {
                    let is_link = matches!(error, AgentError::Link(_));
                    if !is_link || self.began.elapsed() >= wish.patience {
                        return Err(error);
                    }
                }
            }
            say(Said::Again { why: error.to_string() });
            if stopped_within(PAUSE, stop.clone()).await {
                return Err(AgentError::Stopped);
            }
        }
        match self.status()? {
            Status::Joined(membership) => Ok(*membership),
            _ => Err(AgentError::NoSecret),
        }
    }

    fn now(&self) -> Monotonic {
        Monotonic::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn record(&self) -> Result<Option<JoinerRecord>, AgentError> {
        let limit = u64::try_from(MAX_LONG_FRAME_LEN).unwrap_or(u64::MAX);
        let bytes = read_private(&self.folder.join(JOIN), limit).map_err(file(JOIN))?;
        Ok(bytes.map(|bytes| JoinerRecord::from_bytes(&bytes)).transpose()?)
    }

    fn store(&self, record: &JoinerRecord) -> Result<(), AgentError> {
        write_durably(&self.folder.join(JOIN), &record.to_bytes()).map_err(file(JOIN))
    }

    fn forget(&self) -> Result<(), AgentError> {
        remove_durably(&self.folder.join(JOIN)).map_err(file(JOIN))
    }
}

fn file(what: &'static str) -> impl FnOnce(std::io::Error) -> AgentError {
    move |error| AgentError::File { what: what.into(), error }
}

/// Whether somebody stops the agent within this time.
async fn stopped_within(pause: Duration, stop: watch::Receiver<bool>) -> bool {
    tokio::time::timeout(pause, stopped(stop)).await.is_ok()
}

/// Ready when somebody stops the agent.
async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody can any more.
        std::future::pending::<()>().await;
    }
}

const MACHINE: &str = "machine";
const JOIN: &str = "join";
/// How often a refusal is taken for a member that has too much to do.
const REFUSALS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);
