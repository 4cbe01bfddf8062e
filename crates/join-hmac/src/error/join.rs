use core_types::RandomError;

use super::{MemberError, TrustError, WireError};

/// Why a join ended. For operators and audit logs; the other side is told «refused», and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A frame is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What it says of the members is refused.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A name, an address, a certificate or a key is malformed.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The other side refused, or knows of no such join.
    #[error("refused by the other side")]
    Refused,
    /// The other side gave up.
    #[error("given up by the other side")]
    Aborted,
    /// It took too long, or the window is closed.
    #[error("out of time")]
    TimedOut,
    /// The code was tried as often as it may be: ask for a new one.
    #[error("the code was tried too often, a new one is needed")]
    NoRunsLeft,
    /// There is no version and suite that both sides know.
    #[error("no version and suite in common")]
    Suite,
    /// A message comes back to who sent it.
    #[error("a message was reflected")]
    Reflected,
    /// The certificate in a message is not the connection's: somebody is between the two sides.
    #[error("the certificate is not the one of this connection")]
    Peer,
    /// The MAC is wrong: another secret, another connection, or a changed message.
    #[error("the MAC is wrong")]
    Mac,
    /// A signature is wrong.
    #[error("a signature is wrong")]
    Signature,
    /// A share is no element of the group.
    #[error("the share is malformed")]
    Share,
    /// The key, the certificate and the entry do not belong together.
    #[error("key, certificate and entry do not belong together")]
    Key,
    /// What the cluster shows does not follow from what it should.
    #[error("the members are not those that were expected")]
    State,
    /// Who plays the initiator is no member.
    #[error("the other side is no member of the cluster it shows")]
    NotAMember,
    /// The other side waits for the approval of something else.
    #[error("the other side shows another intent")]
    Intent,
    /// There is no such ticket, code or session.
    #[error("no such ticket, code or session")]
    Unknown,
    /// The ticket does not allow this name or this role.
    #[error("the ticket does not allow this name or role")]
    Policy,
    /// Too many ask for too much: try again later.
    #[error("too many requests")]
    Busy,
    /// The random source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl JoinError {
    /// A stable word for it: for the log, not for the other side.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Wire(_) => "malformed_frame",
            Self::Trust(_) => "members_refused",
            Self::Member(_) => "malformed_member",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed_out",
            Self::NoRunsLeft => "no_runs_left",
            Self::Suite => "no_common_suite",
            Self::Reflected => "reflected",
            Self::Peer => "another_certificate",
            Self::Mac => "wrong_mac",
            Self::Signature => "wrong_signature",
            Self::Share => "malformed_share",
            Self::Key => "another_key",
            Self::State => "other_members",
            Self::NotAMember => "not_a_member",
            Self::Intent => "another_intent",
            Self::Unknown => "unknown",
            Self::Policy => "not_allowed_by_ticket",
            Self::Busy => "busy",
            Self::Random(_) => "no_randomness",
        }
    }
}

/// Why an approval does not make a machine join. The join is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The name of who approves is empty or too long.
    #[error("an approver's name has 1 to 256 bytes")]
    Name,
    /// The approval is of another intent.
    #[error("the approval is of another intent")]
    Intent,
    /// Who approves is not among those who may.
    #[error("not among those who may approve")]
    Eligible,
    /// The quorum is of nobody, or of more than there are.
    #[error("a quorum is of 1 to all of 64 approvers at most")]
    Quorum,
    /// It came too late.
    #[error("out of time")]
    TimedOut,
    /// There were more changes since the ticket was issued than a frame holds: issue a new ticket.
    #[error("too many changes since the ticket was issued")]
    TooManyChanges,
    /// The machine cannot be added: its name is taken, say.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Why a window is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// A bound is outside its own bounds.
    #[error("the window's bounds are outside their own")]
    Config,
    /// The random source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a record cannot be read: it is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Its encoding is wrong.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The entry in it is malformed.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The members in it are malformed.
    #[error(transparent)]
    Trust(#[from] TrustError),
}
