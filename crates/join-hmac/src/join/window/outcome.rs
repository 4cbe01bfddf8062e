//! What a window is told, and what it answers.

use core::time::Duration;

use core_types::Fingerprint;

use super::super::initiator::{Admitting, AwaitApproval, Initiator};
use super::super::limits::Rate;
use super::super::record::{InitiatorRecord, Progress};
use crate::error::JoinError;
use crate::ticket::{TicketId, TicketRecord};

/// The most half-open sessions a window may be told to hold.
pub const MAX_HALF_OPEN: usize = 4096;

/// The bounds of a window. Every one of them is a promise about what strangers can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct WindowConfig {
    /// How long it is open, at most an hour, by the clock that never goes back.
    pub lifetime: Duration,
    /// How many sessions may have been answered and not proven anything yet.
    pub half_open: usize,
    /// From how many of these on a source must show that it is where it says.
    pub cookies_above: usize,
    /// How many runs with a code may fail or be aborted before the code is gone.
    pub guesses: u32,
    /// What one source may ask for.
    pub per_source: Rate,
    /// What one source may ask for with a code: its back-off.
    pub code_per_source: Rate,
    /// What all together may ask for. Half of what may be asked for at once is for those who have shown where they are;
    /// when the other half is used up, everybody is to show it, at the cost of a MAC and without any memory.
    pub global: Rate,
}

impl Default for WindowConfig {
    /// Ten minutes; 256 half-open sessions, cookies from the 33rd on; ten guesses; per source ten at once and two a
    /// second, with a code three at once and one in twenty seconds; 500 at once and 500 a second for all.
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(600),
            half_open: 256,
            cookies_above: 32,
            guesses: 10,
            per_source: Rate { burst: 10, interval: Duration::from_millis(500) },
            code_per_source: Rate { burst: 3, interval: Duration::from_secs(20) },
            global: Rate { burst: 500, interval: Duration::from_millis(2) },
        }
    }
}

/// Where the window finds what was stored.
pub trait Lookup {
    /// The ticket of this id.
    fn ticket(&self, id: &TicketId) -> Option<TicketRecord>;

    /// The join of the machine with this certificate.
    fn join(&self, machine: &Fingerprint) -> Option<InitiatorRecord>;
}

/// Which half-open session. A connection keeps the number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

/// A frame to send, and the session it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "exactly these two")]
pub struct Answer {
    /// The session, for the proof that follows.
    pub session: SessionId,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What came of a hello.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the protocol has no other answer")]
pub enum HelloOutcome {
    /// A challenge is to be sent; a session is half open.
    Challenge(Answer),
    /// A cookie is to be sent; nothing is kept.
    Retry(Vec<u8>),
    /// The frame is to be sent and the connection closed; nothing is kept. The reason is for operators.
    Refused(Vec<u8>, JoinError),
}

/// What came of a proof.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the protocol has no other answer")]
pub enum ProofOutcome {
    /// The machine knows the secret: tell it to wait, and have it approved.
    Proven(Initiator<AwaitApproval>),
    /// The frame is to be sent and the connection closed. The reason is for operators.
    Refused(Vec<u8>, JoinError),
}

/// What came of a resumption.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "the protocol has no other answer")]
pub enum ResumeOutcome {
    /// The join goes on; how far it was.
    Resumed(Initiator<Admitting>, Progress),
    /// The frame is to be sent and the connection closed. The reason is for operators.
    Refused(Vec<u8>, JoinError),
}

impl ResumeOutcome {
    /// Whether it was refused.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(..))
    }
}
